import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A server in a process of its own, which ends with this one at the latest. */
export interface Server {
  url: string
  pid: number
  /** Ends it with SIGTERM; resolves when it is gone. */
  close(): Promise<void>
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>
}

/** Runs Node with these arguments; resolves when it says on stdout where it is ready. */
export async function startServer(
  args: readonly string[],
  { cwd, env }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  const kill = () => child.kill('SIGKILL')
  process.prependOnceListener('exit', kill)
  const ended = once(child, 'exit').finally(() => process.off('exit', kill))
  const url = await Promise.race([readyUrl(child), ended.then(() => undefined)])
  if (url === undefined || child.pid === undefined) throw new Error(`${args.join(' ')} did not start`)
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    child.kill(signal)
    await ended
  }
  return { url, pid: child.pid, close: () => end('SIGTERM'), kill: () => end('SIGKILL') }
}

/** Resolves with the address that the process says it is ready at. */
function readyUrl({ stdout }: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const found = /^ready (\S+)/m.exec(text)?.[1]
      if (found) resolve(found)
    })
  })
}
