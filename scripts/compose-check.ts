import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

/**
 * Builds the image and runs docker-compose.yml as docs/docker.md says, under a name and ports of its own; needs Docker
 * with compose. Prints a line for each thing that holds; exit code 1 at the first that does not. Leaves nothing behind.
 */
const OURS = ['gate', 'notifier', 'decider']
const REPLY_MS = 180_000
/** What Docker gives a container before it kills it. */
const GRACE_MS = 10_000

const project = `countersign-check-${randomBytes(4).toString('hex')}`
const [gatePort, notifierPort] = await freePorts(2)
const gate = `http://127.0.0.1:${gatePort}`
const notifier = `http://127.0.0.1:${notifierPort}`
const env = {
  ...process.env,
  COMPOSE_PROJECT_NAME: project,
  COUNTERSIGN_SERVICE_KEY: randomBytes(32).toString('hex'),
  COUNTERSIGN_GATE_PORT: String(gatePort),
  COUNTERSIGN_NOTIFIER_PORT: String(notifierPort),
}
const cwd = new URL('..', import.meta.url)

async function check(): Promise<void> {
  await compose('up', '--detach', '--build', '--wait')
  holds('every container is healthy')

  for (const service of OURS) {
    assert.notEqual(await inside(service, 'id', '-u'), '0')
    await assert.rejects(inside(service, 'touch', '/countersign/x'), /Read-only file system/)
    await assert.rejects(inside(service, 'touch', '/tmp/x'), /Read-only file system/)
    assert.match(
      await inside(service, 'cat', '/proc/1/status'),
      /CapEff:\s+0{16}\n.*CapBnd:\s+0{16}\n.*NoNewPrivs:\s+1/s,
    )
    assert.match(await inside(service, 'cat', '/proc/1/cmdline'), /^node\0/)
  }
  holds('our processes are process 1, have no root, no capabilities and nothing to write to')

  const agent = await inside('decider', 'countersign', 'keys', 'create', '--name', 'agent', '--role', 'agent')
  const alice = await inside('decider', 'countersign', 'keys', 'create', '--name', 'alice', '--role', 'approver')
  const ask = async (path: string) =>
    send(agent, `${gate}/v1/actions`, { tool: 'Bash', args: { command: `rm -rf ${path}` } })
  const approve = (id: string) => send(alice, `${notifier}/v1/approvals/${id}/decision`, { decision: 'approve' })
  const pending = async (): Promise<string> => {
    const deadline = Date.now() + REPLY_MS
    for (;;) {
      const { items } = (await send(alice, `${notifier}/v1/approvals?status=pending`)) as { items?: { id: string }[] }
      if (items?.length === 1 && items[0]) return items[0].id
      if (Date.now() > deadline) throw new Error(`not one approval is pending: ${JSON.stringify(items)}`)
      await setTimeout(100)
    }
  }

  const first = ask('./build')
  await approve(await pending())
  assert.equal((await first).effect, 'allow')
  holds('a call is held at the gate, approved at the notifier, and let through')

  const cut = ask('./killed').catch(() => 'cut')
  const killed = await pending()
  await compose('kill', '--signal', 'KILL', 'gate')
  assert.equal(await cut, 'cut')
  await compose('up', '--detach', '--wait')
  const retry = ask('./killed')
  await approve(killed)
  assert.deepEqual(pick(await retry), { effect: 'allow', approvalId: killed })
  holds('the gate is killed and starts again: the retry joins the pending approval')

  const held = ask('./broker')
  const waiting = await pending()
  await compose('restart', 'kafka')
  // Not `up --wait`: it gives up at once where a service is still unhealthy from the outage.
  await Promise.all([gate, notifier].map(untilReady))
  await approve(waiting)
  assert.deepEqual(pick(await held), { effect: 'allow', approvalId: waiting })
  holds('the broker is restarted with a call held: it is let through')

  const began = Date.now()
  await compose('stop', ...OURS)
  assert.ok(Date.now() - began < GRACE_MS)
  for (const service of OURS) {
    const id = (await compose('ps', '--all', '--quiet', service)).trim()
    assert.equal((await docker('inspect', '--format', '{{.State.ExitCode}}', id)).trim(), '0', service)
  }
  holds('our containers stop in time, with exit code 0')

  await compose('down')
  await compose('up', '--detach', '--wait')
  const { items } = (await send(alice, `${notifier}/v1/approvals`)) as { items: unknown[] }
  assert.equal(items.length, 3)
  holds('keys and records outlive the containers')
}

async function untilReady(url: string): Promise<void> {
  const deadline = Date.now() + REPLY_MS
  while (!(await fetch(`${url}/readyz`)).ok) {
    if (Date.now() > deadline) throw new Error(`${url} is not ready`)
    await setTimeout(100)
  }
}

const pick = ({ effect, approvalId }: Record<string, unknown>) => ({ effect, approvalId })

function holds(what: string): void {
  console.log(`ok   ${what}`)
}

/** The body of the answer; rejects when the connection is cut. A GET where there is no body to send. */
async function send(key: string, url: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(REPLY_MS),
  })
  return (await response.json()) as Record<string, unknown>
}

/** What a command prints inside a container of ours. */
const inside = async (service: string, ...command: string[]): Promise<string> =>
  (await compose('exec', '--no-TTY', service, ...command)).trim()

function compose(...args: string[]): Promise<string> {
  return docker('compose', ...args)
}

/** Rejects with what docker said. */
async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('docker', args, { cwd, env, maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  return servers.map((server) => {
    const address = server.address()
    server.close()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  })
}

try {
  await check()
} catch (error) {
  process.exitCode = 1
  console.error('FAIL', error)
  console.error(await compose('logs', '--tail', '40', ...OURS).catch(String))
} finally {
  await compose('down', '--volumes', '--timeout', '1')
}
