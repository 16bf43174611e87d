import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface CountersignProcess {
  child: ChildProcess
  url: string
  /** Everything it wrote so far. */
  stdout(): string
  stderr(): string
  /** Ends it with this signal; resolves with its exit code, or the signal. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

/** Backends that were given to the tests are for those that ask for them. */
const NO_ENGINES = { KAFKA_BROKERS: '', MONGODB_URL: '' }

/** Takes what ends something that was started; the last that was given is the first to run. */
export type OnEnd = (end: () => Promise<void>) => void

interface RunOptions {
  cwd: string
  env?: Record<string, string>
  /** Default: it ends with the test. */
  onEnd?: OnEnd | undefined
}

/** Runs `countersign` from source in a process of its own; killed at the end. */
export function runCountersign(args: readonly string[], options: RunOptions) {
  const { onEnd = onTestFinished } = options
  const child = spawn(
    process.execPath,
    ['--import', fileURLToPath(import.meta.resolve('tsx')), `${ROOT}clients/cli/main.ts`, ...args],
    {
      cwd: options.cwd,
      env: { ...process.env, ...NO_ENGINES, NO_COLOR: '1', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)
  onEnd(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, exited, stdout: () => stdout, stderr: () => stderr }
}

interface StartOptions extends RunOptions {
  args?: readonly string[]
}

/** Runs `countersign up` and resolves when it says that it is ready. */
export const startProcess = (options: StartOptions): Promise<CountersignProcess> => startService('up', options)

/** Runs a service and resolves when it says that it is ready. */
export async function startService(name: string, options: StartOptions): Promise<CountersignProcess> {
  const { child, exited, stdout, stderr } = runCountersign([name, ...(options.args ?? [])], options)
  const url = await new Promise<string>((resolve, reject) => {
    const look = () => {
      const found = /^ready (\S+)/m.exec(stdout())
      if (found?.[1]) resolve(found[1])
    }
    child.stdout?.on('data', look)
    void exited.then((code) => reject(new Error(`countersign ${name} ended (${code}):\n${stdout()}${stderr()}`)))
  })
  return {
    child,
    url,
    stdout,
    stderr,
    async end(signal) {
      child.kill(signal)
      return exited
    },
  }
}
