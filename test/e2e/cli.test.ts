import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createClient } from '../../clients/sdk/index.ts'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { Caller, scenario, type World } from '../support/server.ts'
import { countersign as inProcess } from '../unit/cli/fixture.ts'

const MAIN = fileURLToPath(new URL('../../clients/cli/main.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')

/** A folder of its own, gone with the test. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'countersign-cli-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Run {
  child: ChildProcess
  /** What it printed so far. */
  printed: { out: string; err: string }
  /** The exit code, when it has ended. */
  exit: Promise<number | null>
  /** Resolves when stdout fits; rejects when the process ends before. */
  until(pattern: RegExp): Promise<string>
}

/** The real command in a process of its own; killed with the test if it still runs. */
function start(args: string[], options: { cwd?: string; env?: Record<string, string> } = {}): Run {
  const child = spawn(process.execPath, ['--import', TSX, MAIN, ...args], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH: process.env.PATH, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    printed.err += text
  })
  const exit = once(child, 'close').then(([code]) => code as number | null)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exit
  })
  const until = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        if (pattern.test(printed.out)) resolve(printed.out)
      }
      child.stdout.on('data', look)
      look()
      void exit.then((code) =>
        reject(new Error(`ended with ${code} before ${pattern}:\n${printed.out}\n${printed.err}`)),
      )
    })
  return { child, printed, exit, until }
}

/** Runs to the end. */
async function countersign(args: string[], options: Parameters<typeof start>[1] = {}) {
  const run = start(args, options)
  const exit = await run.exit
  return { exit, ...run.printed }
}

const up = async (cwd: string, ...more: string[]) => {
  const run = start(['up', '--port', '0', ...more], { cwd, env: { COUNTERSIGN_LOG_LEVEL: 'warn' } })
  const out = await run.until(/^ready .*$/m)
  return { ...run, url: /^ready (\S+)$/m.exec(out)?.[1] ?? '' }
}

describe('up', () => {
  test('first start: a curl to paste that is held, a link that signs in once; decided by CLI in that folder', async () => {
    const cwd = folder()
    const server = await up(cwd)
    const { out } = server.printed
    expect(out.trimEnd().split('\n').at(-1)).toBe(`ready ${server.url}`)
    expect(out).not.toContain('\u001b')
    expect(statSync(join(cwd, '.countersign')).mode & 0o777).toBe(0o700)
    expect(statSync(join(cwd, '.countersign', 'owner.json')).mode & 0o777).toBe(0o600)

    const code = /login#code=(\S+)/.exec(out)?.[1]
    const signIn = () =>
      fetch(`${server.url}/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ code }),
      })
    expect((await signIn()).status).toBe(200)
    expect((await signIn()).status).toBe(401)

    const curl = out.slice(out.indexOf('curl '), out.indexOf("}}'") + 3)
    const pasted = spawn('sh', ['-c', curl], { stdio: ['ignore', 'pipe', 'ignore'] })
    const answered = once(pasted.stdout.setEncoding('utf8'), 'data')
    const list = async () => JSON.parse((await countersign(['approvals', 'list', '--json'], { cwd })).out).items
    await expect.poll(list, { timeout: 20_000 }).toHaveLength(1)
    const [{ id }] = await list()
    const approved = await countersign(['approvals', 'approve', id, '--reason', 'go'], { cwd })
    expect(approved).toMatchObject({ exit: 0, err: '' })
    expect(approved.out).toContain('approved by owner')
    expect(JSON.parse(String((await answered)[0]))).toMatchObject({
      effect: 'allow',
      approvalId: id,
      args: { command: 'rm -rf ./build' },
      decidedBy: [{ name: 'owner', via: 'cli' }],
    })

    const link = await countersign(['login'], { cwd })
    expect(link.out).toMatch(new RegExp(`^${server.url}/login#code=\\S+\n$`))

    server.child.kill('SIGTERM')
    expect(await server.exit).toBe(0)
    const away = await countersign(['approvals', 'list'], { cwd })
    expect(away.exit).toBe(3)
    expect(away.err).toContain('countersign up')

    const again = await up(cwd)
    expect(again.printed.out).not.toContain('curl')
    expect(again.printed.out).toContain('login#code=')
    again.child.kill('SIGINT')
    expect(await again.exit).toBe(0)
  })

  test('a connection that says nothing does not keep it from stopping', async () => {
    const server = await up(folder())
    const silent = connect(Number(new URL(server.url).port), '127.0.0.1')
    await once(silent, 'connect')
    const closed = once(silent, 'close')
    server.child.kill('SIGTERM')
    expect(await server.exit).toBe(0)
    await closed
  })

  test('everything that is wrong is told at once, without values: exit 2', async () => {
    const cwd = folder()
    writeFileSync(join(cwd, 'p.yaml'), 'version: 1\nrules: [{ id: a, action: maybe }]\n')
    writeFileSync(join(cwd, 'c.yaml'), 'gate: { maxWait: 5 }\nslakc: {}\n')
    const options = { cwd, env: { COUNTERSIGN_LOG_LEVEL: 'secret-value' } }
    const { exit, out, err } = await countersign(['up', '--policy', 'p.yaml', '--config', 'c.yaml'], options)
    expect([exit, out]).toEqual([2, ''])
    for (const name of ['maxWait', 'slakc', 'COUNTERSIGN_LOG_LEVEL', 'action']) expect(err).toContain(name)
    expect(err).not.toContain('secret-value')
    const missing = await countersign(['up', '--policy', 'nowhere.yaml'], { cwd })
    expect(missing.exit).toBe(2)
    expect(missing.err).toContain('nowhere.yaml')
    expect(existsSync(join(cwd, '.countersign'))).toBe(false)
  })

  test('a port or a data directory that is taken: exit 3, and what to do', async () => {
    const cwd = folder()
    const server = await up(cwd)
    const port = await countersign(['up', '--port', new URL(server.url).port, '--data', join(cwd, 'other')], { cwd })
    expect(port).toMatchObject({ exit: 3, out: '' })
    expect(port.err).toContain('--port')
    const data = await countersign(['up', '--port', '0'], { cwd })
    expect(data).toMatchObject({ exit: 3, out: '' })
    expect(data.err).toContain(`pid ${server.child.pid}`)
  })
})

describe('keys', () => {
  test('made, listed and revoked beside a running server, at once', async () => {
    const cwd = folder()
    const { url } = await up(cwd)
    const made = await countersign(
      ['keys', 'create', '--name', 'alice', '--role', 'approver', '--groups', 'finance,ops', '--json'],
      { cwd },
    )
    expect(made.exit).toBe(0)
    const key = JSON.parse(made.out)
    expect(key).toEqual({
      id: expect.stringMatching(/^key_/),
      name: 'alice',
      role: 'approver',
      tenant: 'default',
      key: expect.stringMatching(/^cst_[A-Za-z0-9_-]{43}$/),
    })
    const alice = new Caller(url, key.key, 'alice')
    expect((await alice.send('GET', '/v1/session')).body).toMatchObject({ name: 'alice', groups: ['finance', 'ops'] })

    const service = await countersign(['keys', 'create', '--name', 's', '--role', 'service'], { cwd })
    expect(service.out).toMatch(/^css_[A-Za-z0-9_-]{43}\n$/)
    const list = await countersign(['keys', 'list', '--json'], { cwd })
    expect(JSON.parse(list.out).items.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['owner', 'agent', 'alice', 's']),
    )
    expect(list.out).not.toContain('hash')

    expect((await countersign(['keys', 'revoke', key.id], { cwd })).exit).toBe(0)
    expect((await alice.send('GET', '/v1/session')).status).toBe(401)
    expect((await countersign(['keys', 'revoke', key.id], { cwd })).exit).toBe(1)
  })

  test('a folder without keys is a wrong --data', async () => {
    expect((await countersign(['keys', 'list'], { cwd: folder() })).exit).toBe(2)
  })
})

/** A world with an approved and executed call, a denied one and one that pends. */
async function busy({ url, agent, admin }: World): Promise<string[]> {
  const client = createClient({ url, key: agent.secret })
  const ids: string[] = []
  for (const decision of ['approve', 'deny'] as const) {
    const result = await client.guard(
      'stripe.refund',
      { amount: ids.length },
      {
        onPending: ({ approvalId }) => {
          ids.push(approvalId)
          void admin.decide(approvalId, decision, { reason: 'a reason' })
        },
      },
    )
    if (result.effect === 'allow') await result.report('executed')
  }
  const pending = await agent.ask('kept.x', {}, { headers: { prefer: 'respond-async' } })
  return [...ids, pending.body.approvalId ?? '']
}

scenario('audit verify: sound while the server runs; a changed record, a lost record, each named', async (world) => {
  const ids = await busy(world)
  const verify = (...more: string[]) => countersign(['audit', 'verify', '--data', world.dataDir, ...more])
  const sound = await verify()
  expect(sound).toMatchObject({ exit: 0, err: '' })
  expect(sound.out).toContain('sound: 3 records')
  await world.stop()
  expect(JSON.parse((await verify('--json')).out)).toMatchObject({ ok: true, records: 3, events: 3, faults: [] })

  const db = openDatabase(join(world.dataDir, 'countersign.db'), MAIN_SCHEMA)
  db.prepare("UPDATE approvals SET doc = json_set(doc, '$.reason', 'another') WHERE id = ?").run(ids[0])
  db.prepare('DELETE FROM approvals WHERE id = ?').run(ids[1])
  db.close()
  const broken = await verify('--json')
  expect(broken.exit).toBe(1)
  const { faults } = JSON.parse(broken.out)
  expect(faults.map(({ id }: { id: string }) => id)).toEqual([ids[0], ids[1]])
  expect((await verify()).err).toContain('2 faults in 2 records')
})

test('audit verify and log tail without data are a wrong --data', async () => {
  const cwd = folder()
  expect((await countersign(['audit', 'verify'], { cwd })).exit).toBe(2)
  expect((await countersign(['log', 'tail'], { cwd })).exit).toBe(2)
  expect(readdirSync(cwd)).toEqual([])
})

scenario('log tail: the newest events, by topic, and what comes', async (world) => {
  const [first, second] = await busy(world)
  const tail = (...more: string[]) => countersign(['log', 'tail', '--data', world.dataDir, ...more])
  const all = await tail()
  expect(all.exit).toBe(0)
  expect(all.out).toMatch(new RegExp(`requested {2}${first}  agent  high  `))
  expect(all.out).toMatch(new RegExp(`decided {4}${second}  denied  owner  a reason`))
  const decided = (await tail('--topic', 'approval.decided', '--limit', '1', '--json')).out
  expect(JSON.parse(decided)).toMatchObject({ topic: 'approval.decided', key: second, data: { outcome: 'denied' } })

  const follow = start(['log', 'tail', '--follow', '--limit', '0', '--json', '--data', world.dataDir])
  // It has found its place once it shows what happens from now on; ask until it does.
  let amount = 100
  while (follow.printed.out === '')
    await world.agent.ask('kept.follow', { amount: amount++ }, { headers: { prefer: 'wait=1' } })
  expect(JSON.parse(follow.printed.out.split('\n')[0] ?? '')).toMatchObject({ topic: 'approval.requested' })
  follow.child.kill('SIGINT')
  expect(await follow.exit).toBe(0)
})

scenario(
  'log tail hides where an agent wants to be told',
  async (world) => {
    const context = { callback: 'https://agents.example.com/s3cr3t-path?token=s3cr3t-query' }
    await world.agent.ask('stripe.refund', {}, { headers: { prefer: 'respond-async' }, context })
    const tailed = await countersign(['log', 'tail', '--json', '--data', world.dataDir])
    expect(JSON.parse(tailed.out)).toMatchObject({ data: { callback: 'https://agents.example.com/…' } })
    expect(tailed.out).not.toContain('s3cr3t')
  },
  {
    config: JSON.stringify({
      callbacks: { hosts: ['agents.example.com'], secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}` },
    }),
  },
)

scenario('watch as JSON: what is asked and what becomes of it', async (world) => {
  const watch = start(['approvals', 'watch', '--json', '--data', world.dataDir])
  const asked = world.agent.ask('stripe.refund', { amount: 1 })
  const [record] = await world.admin.pending()
  await watch.until(/"requested"/)
  await world.admin.decide(record?.id ?? '', 'deny')
  await asked
  const lines = (await watch.until(/"decided"/)).trim().split('\n')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { event: 'requested', approval: { id: record?.id, status: 'pending' } },
    { event: 'decided', approval: { id: record?.id, status: 'denied' } },
  ])
  watch.child.kill('SIGTERM')
  expect(await watch.exit).toBe(0)
})

describe('demo', () => {
  test('--auto plays both sides on an own server and leaves nothing behind', async () => {
    const cwd = folder()
    const temp = join(cwd, 'tmp')
    mkdirSync(temp)
    // Rules of the folder must not change the play.
    writeFileSync(join(cwd, 'policy.yaml'), 'nonsense')
    const { exit, out, err } = await countersign(['demo', '--auto'], { cwd, env: { TMPDIR: temp } })
    expect([exit, err]).toEqual([0, ''])
    expect(out).toContain('approved by owner')
    expect(out).toContain('approval_denied')
    expect(out).toContain('requested, approved, claimed, settled')
    expect(readdirSync(temp).filter((name) => name.startsWith('countersign'))).toEqual([])
    expect(existsSync(join(cwd, '.countersign'))).toBe(false)
  })

  test('plays on the local server where one runs; a person decides', async () => {
    const cwd = folder()
    const { url } = await up(cwd)
    const demo = start(['demo'], { cwd })
    const out = await demo.until(/decide on the page: .*\n/)
    expect(out).toContain(`on ${url}`)
    const id = /held +(apr_\w+)/.exec(out)?.[1] ?? ''
    await countersign(['approvals', 'deny', id, '--reason', 'no'], { cwd })
    expect(await demo.exit).toBe(0)
    expect(demo.printed.out).toContain('approval_denied')
  })
})

const BASH = 'version: 1\nrules: [{ id: bash, match: { tool: Bash }, action: require_approval }]\n'
const demoOn = ({ url, agent, admin }: World) => ['demo', '--url', url, '--key', agent.secret, '--token', admin.secret]

scenario(
  'demo: the answer on the terminal decides; the page may be faster',
  async (world) => {
    const yes = await inProcess(demoOn(world), { answers: ['y'] })
    expect(yes.exit).toBe(0)
    expect(yes.out).toContain('approved by owner')
    expect(yes.out).toContain('requested, approved, claimed, settled')
    const no = await inProcess(demoOn(world), { answers: ['n'] })
    expect(no.exit).toBe(0)
    expect(no.out).toContain('approval_denied by owner')

    const stop = createClient({ url: world.url, key: world.admin.secret }).approvals.onPending(async ({ id }) => {
      await world.admin.decide(id, 'approve', { reason: 'on the page' })
    })
    const silent = await inProcess(demoOn(world))
    stop()
    expect(silent.out).toContain('approved by owner “on the page”')
  },
  { policy: BASH },
)

scenario('demo: rules that do not ask leave nothing to show: exit 1, and what to do', async (world) => {
  const { exit, err } = await inProcess(demoOn(world), { answers: ['y'] })
  expect(exit).toBe(1)
  expect(err).toContain('demo --port 0')
  const unreachable = await inProcess([
    'demo',
    '--url',
    'http://127.0.0.1:9',
    '--key',
    'csk_xxxx',
    '--token',
    'cst_xxxx',
  ])
  expect(unreachable.exit).toBe(3)
})

test('who stops reading is no failure', async () => {
  const cwd = folder()
  const run = start(['--help'], { cwd })
  run.child.stdout?.destroy()
  expect(await run.exit).toBe(0)
  expect(run.printed.err).toBe('')
})

test('an owner.json that is damaged says so', async () => {
  const cwd = folder()
  mkdirSync(join(cwd, '.countersign'))
  writeFileSync(join(cwd, '.countersign', 'owner.json'), '{"url":')
  const damaged = await countersign(['approvals', 'list'], { cwd })
  expect(damaged).toMatchObject({ exit: 2, out: '' })
  expect(damaged.err).toContain('damaged')
})
