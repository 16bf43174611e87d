import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { sha256Hex } from '../../lib/core/canonical-json.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { Caller, scenario } from '../support/server.ts'

const later = { headers: { prefer: 'respond-async' } }

async function revoke(dataDir: string, name: string) {
  const db = openDatabase(join(dataDir, 'keys.db'), KEYS_SCHEMA)
  const keys = createKeyStore({ db, clock: systemClock })
  const key = (await keys.list()).find((each) => each.name === name)
  await keys.revoke(key?.id ?? '')
  await keys.close()
  db.close()
}

/** What a WebSocket is answered: 101 when it opens. */
function upgradeStatus(url: string, headers: Record<string, string>): Promise<number | undefined> {
  const socket = new WebSocket(url, 'countersign.v1', { headers })
  onTestFinished(() => socket.terminate())
  return new Promise((resolve) => {
    socket.once('open', () => resolve(101))
    socket.once('unexpected-response', (_, answer) => resolve(answer.statusCode))
    socket.on('error', () => undefined)
  })
}

scenario('without a key, or with a revoked one: 401 before any rule, and no record', async (world) => {
  const { agent, admin } = world
  const other = await world.caller('other', 'agent')
  expect((await other.ask('kept.x', {}, later)).status).toBe(202)
  await revoke(world.dataDir, 'other')
  const before = await admin.pending()
  for (const secret of [other.secret, 'csk_unknown-unknown', '', 'x'.repeat(5000)]) {
    const answer = await new Caller(world.url, secret, 'nobody').ask('kept.x', { n: 1 }, later)
    expect(answer).toMatchObject({ status: 401, body: { code: 'unauthenticated', retryable: false } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
  }
  // Nothing of an unidentified body is read: nonsense gets the same answer.
  const nobody = new Caller(world.url, 'csk_unknown-unknown', 'nobody')
  expect((await nobody.send('POST', '/v1/actions', { text: '{' })).status).toBe(401)
  expect((await admin.send<{ items: unknown[] }>('GET', '/v1/approvals')).body.items).toHaveLength(before.length)
  expect((await agent.ask('read.x')).status).toBe(200)
})

scenario('every route but health and sign-in needs an identity', async ({ url }) => {
  const paths = ['/v1/approvals', '/v1/approvals/pending', '/v1/actions/x', '/openapi.json', '/metrics', '/v1/session']
  for (const path of paths) expect([path, (await fetch(url + path)).status]).toEqual([path, 401])
  for (const path of ['/healthz', '/readyz']) expect((await fetch(url + path)).status).toBe(200)
  const [data, page] = [await fetch(`${url}/healthz`), await fetch(`${url}/`)]
  expect(data.headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
  expect(data.headers.get('cache-control')).toBe('no-store')
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self'")
  for (const { headers } of [data, page]) expect(headers.get('x-content-type-options')).toBe('nosniff')
  for (const path of ['/v1/approvals/%zz', `/v1/approvals/${'x'.repeat(300)}`]) {
    const bad = await fetch(url + path)
    expect([path.slice(0, 20), bad.headers.get('content-type')]).toEqual([
      path.slice(0, 20),
      expect.stringContaining('application/problem+json'),
    ])
    expect(await bad.text()).not.toContain(path)
  }
  const missing = await fetch(`${url}/v2/nothing`)
  expect([missing.status, ((await missing.json()) as { code: string }).code]).toEqual([404, 'not_found'])
})

scenario('agents do not decide and people do not act as agents', async ({ agent, admin }) => {
  expect((await agent.send('GET', '/v1/approvals')).status).toBe(403)
  expect((await admin.ask('kept.x')).status).toBe(403)
  expect((await admin.send('POST', '/v1/claims', { body: {} })).status).toBe(403)
})

scenario('a login link works once and opens a session that is bound to our origin', async (world) => {
  const { url, admin } = world
  const link = await world.loginCode()
  const signIn = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  const first = await signIn({ code: link })
  expect(first.status).toBe(200)
  const cookie = first.headers.get('set-cookie') ?? ''
  expect(cookie).toMatch(/HttpOnly/)
  expect(cookie).toMatch(/SameSite=Strict/)
  const again = await signIn({ code: link })
  expect(again.status).toBe(401)
  expect((await signIn({ token: 'cst_nonsense-nonsense' })).status).toBe(401)
  expect((await signIn({})).status).toBe(422)
  expect((await signIn({ token: world.agent.secret })).status).toBe(403)

  const session = { cookie: cookie.split(';')[0] ?? '' }
  const get = (path: string, headers = {}) => fetch(url + path, { headers: { ...session, ...headers } })
  expect(await (await get('/v1/session')).json()).toMatchObject({ name: 'owner', role: 'admin', tenant: 'default' })
  const expire = (headers: Record<string, string>) =>
    fetch(`${url}/v1/approvals/expire`, {
      method: 'POST',
      headers: { ...session, 'content-type': 'application/json', ...headers },
      body: '{"allStale":true}',
    })
  expect((await expire({ origin: url })).status).toBe(200)
  expect((await expire({ origin: 'https://evil.example' })).status).toBe(403)
  expect((await expire({ origin: 'null' })).status).toBe(403)
  // Old forms send no origin: the browser's own word counts.
  expect((await expire({ 'sec-fetch-site': 'same-origin' })).status).toBe(200)
  expect((await expire({ 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  const stream = (origin: string) => upgradeStatus(`${url.replace('http', 'ws')}/v1/stream`, { ...session, origin })
  expect([await stream(url), await stream('https://evil.example')]).toEqual([101, 403])

  await world.restart()
  expect((await get('/v1/session')).status).toBe(200)
  const out = await fetch(`${url}/v1/session`, { method: 'DELETE', headers: { ...session, origin: url } })
  expect(out.status).toBe(204)
  expect((await get('/v1/session')).status).toBe(401)
  expect((await admin.send('GET', '/v1/session')).status).toBe(200)
})

scenario('a revoked token ends its sessions and its streams’ decisions', async (world) => {
  const { agent, admin } = world
  const bob = await world.caller('bob', 'approver')
  const stream = await bob.stream()
  const id = (await agent.ask('kept.x', {}, later)).body.approvalId ?? ''
  await stream.frame(({ event }) => event === 'requested')
  await revoke(world.dataDir, 'bob')
  stream.send({ type: 'decide', ref: 'r', id, decision: 'approve' })
  await stream.until(() => stream.closed !== undefined, 'the close')
  expect(stream.closed).toBe(4401)
  expect(await admin.record(id)).toMatchObject({ status: 'pending' })
})

const listed = 'cst_listed-in-the-configuration'
scenario(
  'people and agents that the configuration lists are known by the hash of their key',
  async ({ url, agent, admin }) => {
    const carol = new Caller(url, listed, 'carol')
    const id = (await agent.ask('finance.pay', {}, later)).body.approvalId ?? ''
    await admin.pending()
    expect(await carol.decide(id, 'approve')).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'carol' }] } })
    const signedIn = await fetch(`${url}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: listed }),
    })
    expect(signedIn.status).toBe(200)
    const cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? ''
    const session = await fetch(`${url}/v1/session`, { headers: { cookie } })
    expect(await session.json()).toMatchObject({ name: 'carol', role: 'approver' })
  },
  { config: `approvers: [{ name: carol, groups: [finance], tokenSha256: "${sha256Hex(listed)}" }]` },
)

scenario('the data directory and its files are the owner’s alone', async ({ dataDir }) => {
  expect(statSync(dataDir).mode & 0o777).toBe(0o700)
  for (const file of ['owner.json', 'countersign.db', 'keys.db'])
    expect([file, statSync(join(dataDir, file)).mode & 0o777]).toEqual([file, 0o600])
})

scenario('where the owner’s file was taken away nothing new is made', async (world) => {
  rmSync(join(world.dataDir, 'owner.json'))
  await world.restart()
  expect(await world.loginCode()).toBe('')
  expect((await world.admin.send('GET', '/v1/session')).status).toBe(200)
})
