import { existsSync, readFileSync } from 'node:fs'
import { type CompiledPolicy, compilePolicy } from '../../../lib/core/policy/compile.ts'
import { parsePolicy } from '../../../lib/core/policy/parse.ts'
import type { PolicyError } from '../../../lib/core/policy/source.ts'
import { STARTER_POLICY } from '../../../lib/core/policy/starter.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import { printable } from '../printable.ts'

export const DEFAULT_FILE = 'policy.yaml'

/** A policy that is sound, and what to call it. */
export interface NamedPolicy {
  /** The file, or `the starter policy`. */
  name: string
  compiled: CompiledPolicy
}

/** Rejects with CliError 2 for a file that is not there, cannot be read or is not UTF-8. */
export function readText(file: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'error'
    throw usageError(
      code === 'ENOENT' ? `${printable(file)} does not exist.` : `${printable(file)} cannot be read (${code}).`,
    )
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw usageError(`${printable(file)} is not UTF-8.`)
  }
}

/** Reads as `up` does: the file, else policy.yaml where it is, else the starter policy. Throws CliError 2 with its faults. */
export function openPolicy(file: string | undefined, { terminal }: Pick<Deps, 'terminal'>): NamedPolicy {
  const isStarter = file === undefined && !existsSync(DEFAULT_FILE)
  const name = isStarter ? 'the starter policy' : (file ?? DEFAULT_FILE)
  if (isStarter) terminal.err(`There is no ${DEFAULT_FILE}: the starter policy holds.`)
  const parsed = parsePolicy(isStarter ? STARTER_POLICY : readText(name))
  if (parsed.ok) return { name, compiled: compilePolicy(parsed.policy) }
  throw new CliError(parsed.errors.map((error) => faultText(name, error)).join('\n'), 2)
}

/** `policy.yaml:3:5: rules[0].action: …`, as compilers say it. */
export const faultText = (file: string, { line, column, path, message }: PolicyError): string =>
  printable(`${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`)
