import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'

/** Where downloads are kept between runs: COUNTERSIGN_TEST_CACHE, else ~/.cache/countersign-test. */
const cacheDirectory = (): string => process.env.COUNTERSIGN_TEST_CACHE ?? join(homedir(), '.cache', 'countersign-test')

/**
 * The path of a file or directory in the cache. `fill` makes it at the path that it is given; it appears in the cache
 * whole or not at all, also when several runs fill it at once.
 */
export async function cached(name: string, fill: (path: string) => Promise<void>): Promise<string> {
  const path = join(cacheDirectory(), name)
  if (existsSync(path)) return path
  mkdirSync(dirname(path), { recursive: true })
  const workshop = mkdtempSync(`${path}.`)
  try {
    const made = join(workshop, basename(name))
    await fill(made)
    if (!existsSync(path)) renameSync(made, path)
    return path
  } finally {
    rmSync(workshop, { recursive: true, force: true })
  }
}

/** Runs a command to its end; rejects with what it wrote when that is bad. */
export async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} failed: ${output.trim().slice(-500)}`)
}

export interface ServerProcess {
  pid: number
  isRunning(): boolean
  /** Ends it at once (kill -9); resolves when it is gone. */
  kill(): Promise<void>
}

// A watcher reads the pipe to us: however we end, the server does not outlive us.
const GUARD = `
exec 3<&0 4>&1 >>"$LOG_FILE" 2>&1
"$@" 3<&- 4>&- </dev/null &
server=$!
{ read -r _; kill -9 $server; } <&3 4>&- &
watcher=$!
exec 3<&-
echo $server >&4
exec 4>&-
wait $server
kill $watcher`

/** Starts a server that ends with this process, even when this process is killed. Its output goes to `logFile`. */
export async function spawnServer(
  command: string,
  args: readonly string[],
  { logFile, env = {} }: { logFile: string; env?: Record<string, string> },
): Promise<ServerProcess> {
  const guard = spawn('sh', ['-c', GUARD, 'sh', command, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env, LOG_FILE: logFile },
  })
  const gone = once(guard, 'exit')
  const [line] = (await once(createInterface({ input: guard.stdout }), 'line')) as [string]
  return {
    pid: Number(line),
    isRunning: () => guard.exitCode === null && guard.signalCode === null,
    kill: async () => {
      guard.stdin.end()
      await gone
    },
  }
}

/** Resolves when something listens on a loopback port; rejects when the server has ended or takes too long. */
export async function listening(port: number, server: ServerProcess, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1' })
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (open) return
    if (!server.isRunning()) throw new Error('it ended')
    if (Date.now() > deadline) throw new Error('it took too long')
    await setTimeout(20)
  }
}

/** The end of a log file, for an error that tells why a server did not start. */
export const lastLines = (logFile: string): string => readFileSync(logFile, 'utf8').trim().slice(-1_000)

/** A port on loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
