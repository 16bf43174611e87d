import { describe, expect, test } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import { readUpstreams } from '../../../../lib/runtime/config/upstreams.ts'
import { readBody } from '../../../../services/gate/proxy/body.ts'
import { destinationOf } from '../../../../services/gate/proxy/destination.ts'
import { httpAction } from '../../../../services/gate/proxy/http-action.ts'

const upstreams = new Map(
  readUpstreams({ stripe: { url: 'https://api.stripe.com/v1' } }, []).map((each) => [each.name, each]),
)
const agent = { id: 'a', name: 'agent', session: null, user: null }

interface Said {
  method?: string
  path?: string
  body?: Json | string
  type?: string
  headers?: Record<string, string[]>
  whole?: boolean
  session?: string
}

async function actionOf({ method = 'POST', path = '/refunds', body, type = 'application/json', ...more }: Said) {
  const bytes = Buffer.from(body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body))
  const peeked = { framing: bytes.length === 0 ? 'none' : 'length', bytes, whole: more.whole ?? true } as const
  const headers = { ...(bytes.length === 0 ? {} : { 'content-type': [type] }), ...more.headers }
  const call = {
    ...destinationOf(`/proxy/stripe${path}`, upstreams),
    ...{ method, headers, peeked, body: await readBody(peeked, headers) },
    context: { session: more.session ?? null, user: null },
  }
  return httpAction({ tenant: 'default', agent, call, ruleRevision: 'r' })
}

describe('the one line', () => {
  test.each<[string, Said, string]>([
    ['JSON', { body: { amount: 5000, charge: 'ch_1' } }, 'POST api.stripe.com/v1/refunds  amount=5000 charge="ch_1"'],
    [
      'a form',
      { body: 'amount=5000&reason=dup', type: 'application/x-www-form-urlencoded' },
      'POST api.stripe.com/v1/refunds  amount=5000 reason="dup"',
    ],
    [
      'a query',
      { method: 'DELETE', path: '/x?force=true&a=1&a=2' },
      'DELETE api.stripe.com/v1/x  ?force="true" ?a=["1","2"]',
    ],
    [
      'GraphQL',
      { body: { query: 'mutation Drop($id: ID!) { deleteUser(id: $id) { ok } log { id } }', variables: { id: 7 } } },
      'POST api.stripe.com/v1/refunds  graphql="mutation Drop (deleteUser, log)" id=7',
    ],
    [
      'the operation that is meant',
      { body: { query: 'query A { a } mutation B { b }', operationName: 'B' } },
      'POST api.stripe.com/v1/refunds  graphql="mutation B (b)"',
    ],
    [
      'GraphQL in a list',
      { body: [{ query: '{ a }' }, { query: 'mutation { b }' }] },
      'POST api.stripe.com/v1/refunds  graphql="query (a); mutation (b)"',
    ],
    [
      'GraphQL in a query',
      { method: 'GET', path: '/g?query=%7Bme%7D' },
      'GET api.stripe.com/v1/g  graphql="query (me)"',
    ],
    [
      'a bare GraphQL document',
      { body: '\nmutation { b }', type: 'application/graphql' },
      'POST api.stripe.com/v1/refunds  graphql="mutation (b)"',
    ],
    [
      'SQL',
      { body: { db: 'prod', sql: 'DELETE  FROM users\n WHERE 1=1' } },
      'POST api.stripe.com/v1/refunds  sql="DELETE FROM users WHERE 1=1" db="prod"',
    ],
    [
      'what would pass for something else',
      { path: '/refunds?amount=1', body: { amount: 5000, sql: 'x', query: 'DROP TABLE a' } },
      'POST api.stripe.com/v1/refunds  sql="DROP TABLE a" amount=5000 query="DROP TABLE a" ?amount="1"',
    ],
    ['text', { body: 'hello', type: 'text/plain' }, 'POST api.stripe.com/v1/refunds  body="hello"'],
    ['nothing', { method: 'GET' }, 'GET api.stripe.com/v1/refunds'],
  ])('%s', async (_name, said, summary) => {
    const told = (await actionOf(said)).summary
    expect(told.startsWith(summary), told).toBe(true)
  })

  test('files by their names', async () => {
    const body = '--b\r\nContent-Disposition: form-data; name="f"; filename="run.sh"\r\n\r\nx\r\n--b--\r\n'
    const { summary } = await actionOf({ body, type: 'multipart/form-data; boundary=b' })
    expect(summary).toContain('run.sh')
  })
})

test('secrets are masked in the target, the headers, the query and the body', async () => {
  const action = await actionOf({
    path: '/x?api_key=sekret1&a=1',
    headers: { authorization: ['Bearer sekret2'], cookie: ['s=sekret3'], 'x-api-key': ['sekret4'], accept: ['a'] },
    body: { password: 'sekret5', deep: [{ token: 'sekret6' }], text: '{"secret":"sekret7"}' },
  })
  expect(JSON.stringify(action)).not.toMatch(/sekret/)
  expect(action).toMatchObject({ kind: 'http', method: 'POST', previewTruncated: false })
  expect(action.target).toMatch(/^https:\/\/api\.stripe\.com\/v1\/x\?api_key=.*&a=1$/)
  expect(JSON.parse(action.preview)).toMatchObject({ upstream: 'stripe', method: 'POST', headers: { accept: 'a' } })
})

describe('the fingerprint', () => {
  const base: Said = { path: '/refunds?a=1', body: { amount: 5 }, headers: { 'x-a': ['1'] } }
  test.each<[string, Said]>([
    ['a byte of the body', { body: '{"amount":5 }' }],
    ['the type', { type: 'application/problem+json' }],
    ['a header', { headers: { 'x-a': ['2'] } }],
    ['one header more', { headers: { 'x-a': ['1'], destination: ['/b'] } }],
    ['the query', { path: '/refunds?a=2' }],
    ['the method', { method: 'PUT' }],
    ['the session', { session: 's' }],
  ])('is another one for another call: %s', async (_name, other) => {
    expect((await actionOf({ ...base, ...other })).fingerprint).not.toBe((await actionOf(base)).fingerprint)
  })

  test('is the same for another try, and for other spellings of the path', async () => {
    const again = {
      ...base,
      path: '/./re%66unds?a=1',
      headers: { 'x-a': ['1'], 'user-agent': ['x'], traceparent: ['y'], 'idempotency-key': ['z'], date: ['d'] },
    }
    expect((await actionOf(again)).fingerprint).toBe((await actionOf(base)).fingerprint)
  })

  test('is none where the body was not read whole', async () => {
    expect(await actionOf({ ...base, whole: false })).toMatchObject({ fingerprint: null, previewTruncated: true })
  })
})
