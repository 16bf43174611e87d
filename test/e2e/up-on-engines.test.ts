import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { withBackend } from '../support/backends/backend.ts'
import { engineRoom, findEngines } from '../support/engines.ts'
import { runCountersign, startProcess, startService } from '../support/process.ts'
import { Caller } from '../support/server.ts'

interface OwnerFile {
  url: string
  token: string
  agentKey: string
}

const ownerIn = (cwd: string): OwnerFile => JSON.parse(readFileSync(join(cwd, '.countersign', 'owner.json'), 'utf8'))
const ANY_PORT = ['--port', '0']

/** Whom the first start made. */
function peopleOf(cwd: string, url = ownerIn(cwd).url) {
  const { token, agentKey } = ownerIn(cwd)
  return { agent: new Caller(url, agentKey, 'agent'), admin: new Caller(url, token, 'owner') }
}

async function countersign(args: readonly string[], options: { cwd: string; env?: Record<string, string> }) {
  const { exited, stdout, stderr } = runCountersign(args, options)
  return { exit: await exited, out: stdout(), err: stderr() }
}

await withBackend('up over Kafka and MongoDB', findEngines, (engines) => {
  describe('up over Kafka and MongoDB', { timeout: 120_000 }, () => {
    test('a call is held, approved over HTTP and let through; the owner’s shell needs no flags, the disk no database', async () => {
      const { env, folder } = engineRoom(engines)
      const cwd = folder()
      const up = await startProcess({ cwd, env, args: ANY_PORT })
      expect(up.stdout()).toContain('over Kafka and MongoDB')
      expect(up.stdout()).toContain('/login#code=')
      expect((await fetch(`${up.url}/readyz`)).status).toBe(200)
      const { agent, admin } = peopleOf(cwd)
      const stream = await admin.stream()

      const answer = agent.ask('stripe.refund', { amount: 1 })
      const [record] = await admin.pending()
      const id = record?.id ?? ''
      const listed = await countersign(['approvals', 'list', '--json'], { cwd })
      expect(JSON.parse(listed.out).items).toMatchObject([{ id, status: 'pending' }])
      await admin.decide(id, 'approve', { reason: 'fine' })
      expect(await answer).toMatchObject({ status: 200, body: { effect: 'allow', approvalId: id, reason: 'fine' } })
      await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
      await stream.frame(({ event }) => event === 'settled')

      const keys = await countersign(['keys', 'list', '--json'], { cwd, env })
      expect(
        JSON.parse(keys.out)
          .items.map(({ name }: { name: string }) => name)
          .sort(),
      ).toEqual(['agent', 'owner'])
      const files = ['countersign.db', 'keys.db'].filter((name) => existsSync(join(cwd, '.countersign', name)))
      expect(files).toEqual([])
      expect(await up.end('SIGTERM')).toBe(0)
    })

    test('stopped, and killed with -9: each time the retry joins what is pending, and one approval lets it through', async () => {
      const { env, folder } = engineRoom(engines)
      const cwd = folder()
      const first = await startProcess({ cwd, env, args: ANY_PORT })
      const { agent, admin } = peopleOf(cwd)
      const again = ['--port', new URL(first.url).port]
      const call = () => agent.ask('stripe.refund', { amount: 1 })

      const stopped = call()
      const [record] = await admin.pending()
      const id = record?.id ?? ''
      expect(await first.end('SIGTERM')).toBe(0)
      expect((await stopped).body).toMatchObject({ code: 'shutting_down', retryable: true })

      const second = await startProcess({ cwd, env, args: again })
      const killed = call().catch(() => 'cut')
      const joined = await admin.recordThat(id, ({ version }) => version > (record?.version ?? 0))
      await second.end('SIGKILL')
      expect(await killed).toBe('cut')

      const third = await startProcess({ cwd, env, args: again })
      expect(third.stdout()).not.toContain('curl')
      const held = call()
      await admin.recordThat(id, ({ version }) => version > joined.version)
      await admin.decide(id, 'approve')
      expect((await held).body).toMatchObject({ effect: 'allow', approvalId: id })
      const { body } = await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')
      expect(body.items).toHaveLength(1)
    })

    test('two at once on one host: the same call waits at both, one agent leaves, the other is let through', async () => {
      const { env, folder } = engineRoom(engines)
      const home = folder()
      const here = await startProcess({ cwd: home, env, args: ANY_PORT })
      const there = await startProcess({ cwd: folder(), env, args: ANY_PORT })
      expect(there.stdout()).not.toContain('curl')
      const mine = peopleOf(home)
      const other = peopleOf(home, there.url)
      const stream = await other.admin.stream()

      const leaving = new AbortController()
      const left = mine.agent.ask('stripe.refund', { amount: 1 }, { signal: leaving.signal }).catch(() => 'left')
      const { approval } = await stream.frame(({ event }) => event === 'requested')
      const id = approval?.id ?? ''
      const known = await other.admin.recordThat(id, ({ status }) => status === 'pending')
      const answer = other.agent.ask('stripe.refund', { amount: 1 })
      const joined = await mine.admin.recordThat(id, ({ version }) => version > known.version)
      leaving.abort()
      expect(await left).toBe('left')
      const after = await mine.admin.recordThat(id, ({ version }) => version > joined.version)
      expect(after.status).toBe('pending')
      await mine.admin.decide(id, 'approve')
      expect((await answer).body).toMatchObject({ effect: 'allow', approvalId: id })
      for (const each of [here, there]) expect(await each.end('SIGTERM')).toBe(0)
    })

    test('a gate in a process of its own has it for a decider, with the same service key', async () => {
      const room = engineRoom(engines)
      const env = { ...room.env, COUNTERSIGN_SERVICE_KEY: `css_${'k'.repeat(40)}` }
      const cwd = room.folder()
      const up = await startProcess({ cwd, env, args: ANY_PORT })
      const gateEnv = { ...env, MONGODB_URL: '', COUNTERSIGN_DECIDER_URL: up.url }
      const gate = await startService('gate', { cwd, env: gateEnv, args: ANY_PORT })
      const { admin } = peopleOf(cwd)
      const answer = peopleOf(cwd, gate.url).agent.ask('stripe.refund', { amount: 1 })
      const [record] = await admin.pending()
      await admin.decide(record?.id ?? '', 'deny', { reason: 'no' })
      expect((await answer).body).toMatchObject({ code: 'approval_denied', approvalId: record?.id })
    })

    test('a directory that was used without engines gets new keys for an empty key store, and keeps its records', async () => {
      const { env, folder } = engineRoom(engines)
      const cwd = folder()
      const alone = await startProcess({ cwd, args: ANY_PORT })
      expect(alone.stdout()).toContain('data in .countersign')
      const before = ownerIn(cwd)
      await alone.end('SIGTERM')
      const up = await startProcess({ cwd, env, args: ANY_PORT })
      expect(ownerIn(cwd).token).not.toBe(before.token)
      expect((await peopleOf(cwd).admin.send('GET', '/v1/session')).body).toMatchObject({ name: 'owner' })
      expect(existsSync(join(cwd, '.countersign', 'countersign.db'))).toBe(true)
      await up.end('SIGTERM')
      const restarted = await startProcess({ cwd, env, args: ANY_PORT })
      const { token } = ownerIn(cwd)
      expect((await new Caller(restarted.url, token, 'owner').send('GET', '/v1/session')).status).toBe(200)
    })

    test('Kafka away while MongoDB is there: exit 3, naming it, after the time it was given', async () => {
      const { env, folder } = engineRoom(engines)
      const options = { cwd: folder(), env: { ...env, KAFKA_BROKERS: '127.0.0.1:1' } }
      const { exit, out, err } = await countersign(['up', ...ANY_PORT, '--wait-for', '2'], options)
      expect([exit, out]).toEqual([3, ''])
      expect(err).toContain('Kafka cannot be used at 127.0.0.1:1')
    })
  })
})

/** A folder of its own, gone with the test. */
function folder(): string {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-up-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  return cwd
}

const AWAY = { KAFKA_BROKERS: '127.0.0.1:1', MONGODB_URL: 'mongodb://127.0.0.1:1/?replicaSet=rs0' }

test('one engine without the other is exit 2, naming the one that is missing, and makes nothing', async () => {
  const cwd = folder()
  for (const [given, missing] of [
    ['KAFKA_BROKERS', 'MONGODB_URL'],
    ['MONGODB_URL', 'KAFKA_BROKERS'],
  ] as const) {
    const run = await countersign(['up', ...ANY_PORT], { cwd, env: { [given]: AWAY[given] } })
    expect([run.exit, run.out]).toEqual([2, ''])
    expect(run.err).toContain(`${missing} is missing`)
  }
  const wrong = await countersign(['up', ...ANY_PORT], {
    cwd,
    env: { KAFKA_BROKERS: 'nowhere', MONGODB_URL: 'http://user:hunter2@h/', COUNTERSIGN_SERVICE_KEY: 'short' },
  })
  expect(wrong.exit).toBe(2)
  for (const name of ['KAFKA_BROKERS', 'MONGODB_URL', 'COUNTERSIGN_SERVICE_KEY']) expect(wrong.err).toContain(name)
  expect(wrong.err).not.toContain('hunter2')
  expect(existsSync(join(cwd, '.countersign'))).toBe(false)
})

test('MongoDB away: it is tried again for --wait-for seconds, then exit 3', async () => {
  const cwd = folder()
  const { exit, out, err } = await countersign(['up', ...ANY_PORT, '--wait-for', '5'], { cwd, env: AWAY })
  expect([exit, out]).toEqual([3, ''])
  expect(err).toContain('not reachable yet; trying again')
  expect(err).toContain('MongoDB cannot be reached')
})

test('the demo plays on a server of its own, whatever engines the environment names', async () => {
  const { exit, out } = await countersign(['demo', '--auto'], { cwd: folder(), env: AWAY })
  expect(exit).toBe(0)
  expect(out).toContain('approved')
})

test('an owner.json that is damaged stops the start, and is not written over', async () => {
  const cwd = folder()
  const first = await startProcess({ cwd, args: ANY_PORT })
  await first.end('SIGTERM')
  const file = join(cwd, '.countersign', 'owner.json')
  writeFileSync(file, '{"url":')
  const { exit, out, err } = await countersign(['up', ...ANY_PORT], { cwd })
  expect([exit, out]).toEqual([2, ''])
  expect(err).toContain(`${file} is damaged`)
  expect(readFileSync(file, 'utf8')).toBe('{"url":')
})
