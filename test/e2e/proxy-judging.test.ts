import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { proxied } from '../support/proxy-world.ts'

const json = { 'content-type': 'application/json' }
const later = { prefer: 'respond-async' }

proxied(
  'every spelling of a path is judged in one form, and the upstream gets what was judged',
  async ({ call, upstream }) => {
    const spellings: [string, string | number][] = [
      ['api', '/v1'],
      ['api/', '/v1/'],
      ['api/a/b', '/v1/a/b'],
      ['api/A', '/v1/A'],
      ['api//a', '/v1/a'],
      ['api/%61', '/v1/a'],
      ['api/b%2Fa', '/v1/b%2Fa'],
      ['api/a/../c', '/v1/c'],
      ['api/admin', 403],
      ['api/ADMIN', '/v1/ADMIN'],
      ['api/%61dmin', 403],
      ['api/x/../admin', 403],
      ['api/x/%2e%2e/admin', 403],
      ['api//admin/', 403],
      ['api/admin/deep', 403],
      ['api/admin%2Fdeep', 403],
      ['api/administrator', '/v1/administrator'],
      ['api/../admin', 400],
      ['api/%2e%2e/v2', 400],
      ['api/a%2f..%2fadmin', 400],
      ['api/a\\b', 400],
      ['api/%zz', 400],
    ]
    const forwarded: string[] = []
    for (const [path, expected] of spellings) {
      const { status } = await call('GET', path)
      expect([path, status]).toEqual([path, typeof expected === 'number' ? expected : 200])
      if (typeof expected === 'string') forwarded.push(expected)
    }
    expect(upstream.received.map(({ url }) => url)).toEqual(forwarded)
  },
  {
    path: '/v1/',
    policy: `
version: 1
default: deny
rules:
  - { id: v1, match: { upstream: api, host: 127.0.0.1, path: "/v1/*" }, action: allow }
  - { id: admin, match: { path: "/v1/admin/*" }, action: deny }
`,
  },
)

proxied('a condition on the body is judged as far as the body can be, and counts where it cannot', async (world) => {
  const { call, upstream } = world
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const gzipped = { ...json, 'content-encoding': 'gzip' }
  const large = `{"filler":"${'x'.repeat(100_000)}","amount":1}`
  const bodies: [string, Record<string, string>, string | Buffer, number][] = [
    ['small', json, '{"amount":5}', 200],
    ['large amount', json, '{"amount":5000}', 202],
    ['large in a form', form, 'amount=5000', 202],
    ['small in a form', form, 'amount=5', 200],
    ['large compressed', gzipped, gzipSync('{"amount":5000}'), 202],
    ['small compressed', gzipped, gzipSync('{"amount":5}'), 200],
    ['twice', json, '{"amount":5,"amount":5000}', 202],
    ['called text', { 'content-type': 'text/plain' }, '{"amount":5000}', 202],
    ['large in YAML', { 'content-type': 'application/yaml' }, 'amount: 5000', 202],
    ['large in XML', { 'content-type': 'application/xml' }, '<amount>5000</amount>', 202],
    ['large in a form that is called text', { 'content-type': 'text/plain' }, 'amount=5000', 202],
    ['large in another case', json, '{"Amount":5000}', 202],
    ['large beside small in another case', json, '{"amount":5,"AMOUNT":5000}', 202],
    ['bytes', { 'content-type': 'application/octet-stream' }, randomBytes(10), 202],
    ['a bomb', gzipped, gzipSync(Buffer.alloc(10_000_000, '[')), 202],
  ]
  for (const [name, headers, body, status] of bodies)
    expect([name, (await call('POST', 'api/charges', { body, headers: { ...headers, ...later } })).status]).toEqual([
      name,
      status,
    ])
  expect((await call('POST', 'api/charges', { body: large, headers: { ...json, ...later } })).status).toBe(400)
  expect(upstream.received.map(({ bytes }) => bytes)).toEqual([12, 8, gzipSync('{"amount":5}').length])
})

proxied(
  'a method is denied however a request asks for it, and uploads go',
  async (world) => {
    const { call, upstream } = world
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const long = 'x'.repeat(70_000)
    const asked: [string, string, Record<string, string>, string][] = [
      ['twice in a form', 'api/x', form, '_method=GET&_method=DELETE'],
      ['in a long form', 'api/x', form, `_method=DELETE&x=${long}`],
      ['behind a long form', 'api/x', form, `x=${long}&_method=DELETE`],
      ['in long JSON', 'api/x', json, `{"_method":"DELETE","x":"${long}"}`],
      ['in a query with a semicolon', 'api/x?_method=DELETE;', json, '{}'],
      ['in a header with underscores', 'api/x', { ...json, X_HTTP_Method_Override: 'DELETE' }, '{}'],
    ]
    for (const [name, path, headers, body] of asked)
      expect([name, (await call('POST', path, { body, headers })).status]).toEqual([name, 403])
    expect(upstream.received).toEqual([])
    expect((await call('POST', 'api/x', { body: `{"method":"DELETE","x":"${long}"}`, headers: json })).status).toBe(200)
    const bytes = { 'content-type': 'application/octet-stream' }
    expect((await call('POST', 'api/x', { body: randomBytes(70_000), headers: bytes })).status).toBe(200)
  },
  {
    policy: `
version: 1
default: allow
rules:
  - { id: delete, match: { method: DELETE }, action: deny }
`,
  },
)

proxied(
  'what is not forwarded is not judged: headers of the gate, and those that it replaces',
  async (world) => {
    const { call, upstream, agent } = world
    const headers = { 'countersign-key': agent.secret, authorization: 'Bearer evil', 'x-added': 'evil' }
    expect((await call('GET', 'api/x', { key: headers })).status).toBe(200)
    expect((await call('GET', 'api/x', { headers: { 'x-flag': 'evil' } })).status).toBe(403)
    expect(upstream.received).toHaveLength(1)
  },
  {
    policy: `
version: 1
default: allow
rules:
  - { id: a, match: { upstream: api }, when: [{ path: headers.authorization, contains: evil }], action: deny }
  - { id: b, match: { upstream: api }, when: [{ path: headers.x-added, contains: evil }], action: deny }
  - { id: c, match: { upstream: api }, when: [{ path: headers.x-flag, contains: evil }], action: deny }
  - { id: d, match: { upstream: api }, when: [{ path: headers.countersign-key, exists: true }], action: deny }
`,
  },
)

proxied('a person sees what would be sent, and no secret of anybody', async (world) => {
  const { call, admin, agent } = world
  const { json: problem } = await call('POST', 'api/refunds/1?api_key=sekret1', {
    body: JSON.stringify({ amount: 5, password: 'sekret2', card: { cvc: 'sekret3' } }),
    headers: { ...json, ...later, 'x-api-token': 'sekret4', cookie: 'sid=sekret5', 'user-agent': 'sdk/1' },
  })
  const record = await admin.record(problem.approvalId ?? '')
  expect(record.action.summary).toMatch(/^POST 127\.0\.0\.1\/refunds\/1 {2}amount=5/)
  expect(JSON.parse(record.action.preview)).toEqual({
    upstream: 'api',
    method: 'POST',
    url: expect.stringMatching(/\/refunds\/1\?api_key=\[redacted\]$/),
    headers: { 'content-type': 'application/json', 'x-api-token': '[redacted]', cookie: '[redacted]' },
    body: { amount: 5, password: '[redacted]', card: { cvc: '[redacted]' } },
  })
  const list = JSON.stringify((await admin.send('GET', '/v1/approvals')).body)
  for (const secret of ['sekret', 'upstream-credential-42', agent.secret]) expect(list).not.toContain(secret)
})

proxied('the session that a call names is judged and kept', async ({ call, admin }) => {
  const headers = { ...json, ...later, 'countersign-session': 's-1', 'countersign-user': 'u-1' }
  const { json: problem } = await call('POST', 'api/refunds', { body: '{}', headers })
  expect((await admin.record(problem.approvalId ?? '')).agent).toMatchObject({ session: 's-1', user: 'u-1' })
  const long = { ...headers, 'countersign-session': 'x'.repeat(300) }
  expect((await call('POST', 'api/refunds', { body: '{}', headers: long })).status).toBe(400)
})

proxied('a session is as tight as its header says, and the header goes no further', async ({ call, upstream }) => {
  const status = async (headers: Record<string, string>) =>
    (await call('GET', 'api/free', { headers: { ...later, ...headers } })).status
  expect(await status({})).toBe(200)
  expect(await status({ 'countersign-autonomy': 'locked' })).toBe(202)
  expect(await status({ 'countersign-autonomy': 'full' })).toBe(200)
  expect(upstream.received.map(({ headers }) => headers['countersign-autonomy'])).toEqual([undefined, undefined])
})
