import { expect, test } from 'vitest'
import { CountersignClientError, createClient, type Pending } from '../../../clients/sdk/index.ts'
import { allow, approvalId, held, inTurn, refusal, serve } from './fixture.ts'

const args = { command: 'rm -rf ./build' }

test('an allow carries the arguments that were approved', async () => {
  const server = await serve(inTurn(allow(args, { reason: 'fine', decidedBy: [{ name: 'alice' }] })))
  const client = createClient({ url: `${server.url}/`, key: 'csk_x' })
  const result = await client.guard('Bash', args, { context: { session: 's1' } })
  expect(result).toMatchObject({ effect: 'allow', approvalId: approvalId(1), args, edited: false, reason: 'fine' })
  const [request] = server.received
  expect(request?.method).toBe('POST')
  expect(request?.url.pathname).toBe('/v1/actions')
  expect(request?.body).toEqual({ tool: 'Bash', args, context: { session: 's1' } })
  expect(request?.headers).toMatchObject({ authorization: 'Bearer csk_x', prefer: 'wait=50' })
  expect(request?.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/)
  expect(request?.headers['countersign-approval']).toBeUndefined()
})

test('edited arguments are told apart from the same arguments in another order', async () => {
  const server = await serve(inTurn(allow({ b: [1, { c: 2 }], a: 1 }), allow({ a: 1, b: [1, { c: 3 }] })))
  const client = createClient({ url: server.url })
  const sent = { a: 1, b: [1, { c: 2 }], left: undefined }
  expect(await client.guard('T', sent)).toMatchObject({ edited: false })
  expect(await client.guard('T', sent)).toMatchObject({ edited: true, args: { a: 1, b: [1, { c: 3 }] } })
})

test('a held call is asked again in pieces with the same key and body, and announced once', async () => {
  const server = await serve(inTurn(held(), held(), held(), allow(args)))
  const pendings: Pending[] = []
  const mine = { ...args }
  const result = await createClient({ url: server.url }).guard('Bash', mine, {
    onPending: (pending) => {
      pendings.push(pending)
      // What the caller does with its object meanwhile must not reach the gate.
      mine.command = 'rm -rf /'
    },
  })
  expect(result).toMatchObject({ effect: 'allow', args, edited: false })
  expect(pendings).toMatchObject([{ approvalId: approvalId(1), summary: 'Bash: rm -rf ./build' }])
  // The first question is only whether it pends; the others wait for the answer.
  expect(server.received.map(({ headers }) => headers.prefer)).toEqual(['wait=0', 'wait=50', 'wait=50', 'wait=50'])
  expect(new Set(server.received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  for (const { body } of server.received) expect(body).toEqual({ tool: 'Bash', args })
})

test('a server that does not wait is asked again no sooner than it says', async () => {
  const times: number[] = []
  const stamp = (reply: ReturnType<typeof held>) => () => {
    times.push(performance.now())
    return reply
  }
  const server = await serve(inTurn(stamp(held({ 'retry-after': '1' })), stamp(allow(args))))
  await createClient({ url: server.url }).guard('Bash', args)
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(900)
})

test.each([
  ['policy_denied', 403, false],
  ['approval_denied', 403, false],
  ['approval_expired', 403, false],
  ['approval_cancelled', 403, false],
  ['no_decision', 403, true],
  ['already_used', 409, false],
] as const)('%s is a value', async (code, status, retryable) => {
  const more = { detail: 'No.', reason: 'too risky', approvalId: approvalId(1), retryable }
  const server = await serve(inTurn(refusal(code, status, more)))
  const result = await createClient({ url: server.url }).guard('Bash', args)
  const { detail, reason } = more
  expect(result).toEqual({ effect: 'deny', code, detail, reason, approvalId: approvalId(1), retryable })
})

test.each([
  ['unauthenticated', 401],
  ['forbidden', 403],
  ['approval_not_found', 404],
  ['idempotency_key_reused', 422],
  ['internal_error', 500],
] as const)('%s is thrown', async (code, status) => {
  const server = await serve(inTurn(refusal(code, status, { detail: 'words' })))
  const error = await createClient({ url: server.url })
    .guard('Bash', args)
    .catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(CountersignClientError)
  expect(error).toMatchObject({ code, status, message: 'words', problem: { code } })
})

test.each([
  ['a page', '<html>welcome</html>'],
  ['other JSON', { hello: 'world' }],
  ['an allow without arguments', { effect: 'allow' }],
  ['a word that is nearly allow', { effect: 'allowed', args }],
  ['nothing', undefined],
])('200 with %s opens nothing', async (_, body) => {
  const server = await serve(inTurn({ body }))
  await expect(createClient({ url: server.url }).guard('Bash', args)).rejects.toMatchObject({
    code: 'invalid_response',
  })
})

test('what passes is retried: 503, 429 with Retry-After, a proxy without JSON, a cut connection', async () => {
  const server = await serve(
    inTurn(
      refusal('shutting_down', 503, { retryable: true }),
      { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' },
      { ...refusal('too_many_holds', 429, { retryable: true }), headers: { 'retry-after': '0' } },
      (_, response) => {
        response.destroy()
        return undefined
      },
      allow(args),
    ),
  )
  expect(await createClient({ url: server.url }).guard('Bash', args)).toMatchObject({ effect: 'allow' })
  expect(server.received).toHaveLength(5)
  expect(new Set(server.received.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
})

test('failures that do not pass in time are a retryable denial', async () => {
  const server = await serve(() => refusal('bus_unavailable', 503, { retryable: true }))
  const client = createClient({ url: server.url, retryForMs: 0 })
  expect(await client.guard('Bash', args)).toMatchObject({ effect: 'deny', code: 'bus_unavailable', retryable: true })
  await server.close()
  const away = await client.guard('Bash', args)
  expect(away).toMatchObject({ effect: 'deny', code: 'unreachable', retryable: true })
  expect(away.effect === 'deny' && away.detail).toContain('ECONNREFUSED')
})

test('timeoutMs ends the wait with a denial that can be taken up again', async () => {
  const server = await serve((request) => (request.headers['countersign-approval'] ? allow(args) : held()))
  const client = createClient({ url: server.url })
  const result = await client.guard('Bash', args, { timeoutMs: 100 })
  expect(result).toMatchObject({ effect: 'deny', code: 'no_decision', retryable: true, approvalId: approvalId(1) })
  expect(server.received[0]?.headers.prefer).toBe('wait=0')
  expect(await client.guard('Bash', args, { approvalId: approvalId(1) })).toMatchObject({ effect: 'allow' })
  expect(server.received.at(-1)?.headers['countersign-approval']).toBe(approvalId(1))
})

test('a server that never answers is left at timeoutMs', async () => {
  const server = await serve(() => undefined)
  const result = await createClient({ url: server.url }).guard('Bash', args, { timeoutMs: 100 })
  expect(result).toMatchObject({ effect: 'deny', code: 'timeout', retryable: true })
})

test('an abort rejects, while waiting for the answer and while waiting to retry', async () => {
  const stop = new AbortController()
  const server = await serve(
    inTurn(held(), () => {
      stop.abort(new Error('enough'))
      return undefined
    }),
  )
  const waiting = createClient({ url: server.url }).guard('Bash', args, { signal: stop.signal })
  await expect(waiting).rejects.toMatchObject({ code: 'aborted', cause: { message: 'enough' } })

  const again = new AbortController()
  const busy = await serve(() => {
    setImmediate(() => again.abort())
    return { ...refusal('too_many_holds', 429), headers: { 'retry-after': '60' } }
  })
  const retrying = createClient({ url: busy.url }).guard('Bash', args, { signal: again.signal })
  await expect(retrying).rejects.toMatchObject({ code: 'aborted' })
  expect(busy.received).toHaveLength(1)

  await expect(
    createClient({ url: busy.url }).guard('Bash', args, { signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ code: 'aborted' })
  expect(busy.received).toHaveLength(1)
})

test('a wrong call is thrown and nothing is sent', async () => {
  const server = await serve(inTurn())
  const { url } = server
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  for (const wrong of [{ at: new Date() }, { n: Number.NaN }, { f: () => 1 }, { n: 1n }, { m: new Map() }, cycle])
    await expect(createClient({ url }).guard('T', wrong)).rejects.toMatchObject({ code: 'usage' })
  await expect(createClient({ url, key: 'csk_→' }).guard('T', {})).rejects.toMatchObject({ code: 'usage' })
  await expect(createClient({ url }).guard('T', {}, { idempotencyKey: 'a\nb' })).rejects.toMatchObject({
    code: 'usage',
  })
  expect(() => createClient({ url: 'localhost:4100' })).toThrow(/http/)
  expect(server.received).toEqual([])
})

test('report tells the outcome, with retries, and nothing when nobody was asked', async () => {
  const server = await serve(
    inTurn(allow(args), { status: 503, body: '' }, { body: {} }, { body: { effect: 'allow', args, rule: 'r' } }),
  )
  const client = createClient({ url: server.url })
  const asked = await client.guard('Bash', args)
  if (asked.effect === 'allow') await asked.report('failed', 'exit 1')
  expect(server.received.slice(1).map(({ url, body }) => [url.pathname, body])).toEqual([
    [`/v1/actions/${approvalId(1)}/outcome`, { status: 'failed', detail: 'exit 1' }],
    [`/v1/actions/${approvalId(1)}/outcome`, { status: 'failed', detail: 'exit 1' }],
  ])
  const free = await client.guard('Bash', args)
  if (free.effect === 'allow') await free.report('executed')
  expect(server.received).toHaveLength(4)
})

test('an own call can be looked up and withdrawn', async () => {
  const server = await serve((request) =>
    request.method === 'DELETE' ? { status: 204 } : { body: { id: approvalId(1), status: 'pending' } },
  )
  const client = createClient({ url: server.url, key: 'csk_x' })
  expect(await client.get(approvalId(1), { waitSeconds: 900 })).toMatchObject({ status: 'pending' })
  expect(server.received[0]?.headers.prefer).toBe('wait=50')
  await client.get(approvalId(1))
  expect(server.received[1]?.headers.prefer).toBeUndefined()
  await client.withdraw(approvalId(1))
  expect(server.received[2]).toMatchObject({ method: 'DELETE' })
  expect(server.received[2]?.url.pathname).toBe(`/v1/actions/${approvalId(1)}`)
})
