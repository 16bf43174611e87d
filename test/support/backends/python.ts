import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { cached, run } from './native.ts'

/** A Python that has some packages: what it is called with. */
export interface Python {
  command: string
  env: Record<string, string>
}

const COMMAND = 'python3'
const VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'

/** Python 3 alone; or why there is none. */
export async function findPlainPython(): Promise<Python | { reason: string }> {
  try {
    await promisify(execFile)(COMMAND, ['-c', VERSION])
    return { command: COMMAND, env: { PYTHONDONTWRITEBYTECODE: '1' } }
  } catch (error) {
    return { reason: `no Python 3: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/**
 * Python 3 with what a requirements file names, from PyPI, installed once per machine and version of Python; or why there
 * is none.
 */
export async function findPython(requirementsFile: string): Promise<Python | { reason: string }> {
  try {
    const { stdout } = await promisify(execFile)(COMMAND, ['-c', VERSION])
    const digest = createHash('sha256').update(readFileSync(requirementsFile)).digest('hex').slice(0, 12)
    const packages = await cached(`python-${stdout.trim()}-${digest}`, async (folder) => {
      mkdirSync(folder)
      // Wheels only, so that no compiler is needed; a folder of its own, so that no Debian package is.
      const how = ['--quiet', '--disable-pip-version-check', '--no-cache-dir', '--only-binary', ':all:']
      await run(COMMAND, ['-m', 'pip', 'install', ...how, '--target', folder, '--requirement', requirementsFile])
    })
    return { command: COMMAND, env: { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' } }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { reason: `no Python 3 with pip and the packages of ${requirementsFile}: ${reason}` }
  }
}
