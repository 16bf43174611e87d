import { createHmac } from 'node:crypto'
import { createServer } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createHttpEvaluators } from '../../../lib/adapters/http/evaluator.ts'
import type { ExternalEvaluator } from '../../../lib/core/policy/policy.ts'
import { webhookKey } from '../../../lib/core/webhook-signature.ts'
import type { EvaluationInput } from '../../../lib/ports/evaluator.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { type EvaluatorServer, startEvaluator } from '../../support/evaluator-server.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const INPUT: EvaluationInput = {
  tenant: 'default',
  agent: { id: 'key_1', name: 'billing', session: null, user: null },
  level: 'semi',
  action: {
    kind: 'tool',
    tool: 'pay',
    method: null,
    target: null,
    summary: 'pay amount=5',
    preview: '{"amount":5,"token":"[redacted]"}',
    previewTruncated: false,
  },
  verdict: {
    effect: 'require_approval',
    rule: { id: 'pay', ids: ['pay'], why: ['The rule pay matched.'] },
    risk: 'high',
  },
  findings: [],
  may: ['deny'],
}

function ask(
  server: Pick<EvaluatorServer, 'url'>,
  settings: Partial<ExternalEvaluator> = {},
  signal = new AbortController().signal,
) {
  const evaluators = createHttpEvaluators({
    clock: systemClock,
    newId: () => 'id1',
    keyOf: (name) => (name === 'JUDGE_SECRET' ? webhookKey(SECRET) : undefined),
  })
  onTestFinished(() => evaluators.close())
  const base = { id: 'judge', url: server.url, timeoutMs: 5_000, secret: null, may: [] }
  return evaluators.of({ ...base, ...settings }).evaluate(INPUT, signal)
}

it('posts what an approver would see, signed as Standard Webhooks are, and reads the opinion', async () => {
  const server = await startEvaluator({ opinion: 'deny', reason: 'not today' })
  expect(await ask(server, { url: `${server.url}?v=1`, secret: 'JUDGE_SECRET' })).toEqual({
    type: 'deny',
    reason: 'not today',
  })
  const [question] = server.asked
  expect(question).toMatchObject({
    path: '/evaluate?v=1',
    headers: { 'content-type': 'application/json', 'webhook-id': 'evl_id1' },
    body: { type: 'evaluation.requested', data: { evaluator: 'judge', ...INPUT } },
  })
  const timestamp = question!.headers['webhook-timestamp']
  const signature = createHmac('sha256', Buffer.alloc(32, 7))
    .update(`evl_id1.${timestamp}.${question!.text}`)
    .digest('base64')
  expect(question!.headers['webhook-signature']).toBe(`v1,${signature}`)
  expect(Math.abs(Number(timestamp) * 1000 - Date.now())).toBeLessThan(60_000)
})

it('sends no signature where the policy names no secret, and nothing at all where there is none behind the name', async () => {
  const server = await startEvaluator({ opinion: 'approve' })
  expect(await ask(server)).toEqual({ type: 'approve', reason: null })
  expect(server.asked[0]!.headers['webhook-signature']).toBeUndefined()
  expect(await ask(server, { secret: 'OTHER' })).toEqual({
    type: 'failed',
    reason: 'OTHER holds no secret to sign with',
  })
  expect(server.asked).toHaveLength(1)
})

it('reads a suggestion with its edits', async () => {
  const server = await startEvaluator({ opinion: 'suggest', edits: { amount: 4, note: null }, reason: 'less' })
  expect(await ask(server)).toEqual({ type: 'suggest', edits: { amount: 4, note: null }, reason: 'less' })
})

it.each<[string, EvaluatorServer['answer'], string]>([
  ['an opinion that nobody knows', { opinion: 'fine' }, 'not understood'],
  ['no opinion', {}, 'not understood'],
  ['a list', ['approve'], 'not understood'],
  ['a key too many', { opinion: 'approve', risk: 'low' }, 'not understood'],
  ['edits without a suggestion', { opinion: 'approve', edits: {} }, 'not understood'],
  ['a suggestion without edits', { opinion: 'suggest' }, 'not understood'],
  ['edits that are no object', { opinion: 'suggest', edits: [1] }, 'not understood'],
  ['a reason that is no text', { opinion: 'deny', reason: 5 }, 'not understood'],
  ['what is no JSON', (response) => response.end('approve'), 'not understood'],
  ['a key twice', (response) => response.end('{"opinion":"deny","opinion":"approve"}'), 'not understood'],
  ['an empty body', (response) => response.end(), 'not understood'],
  ['500', (response) => response.writeHead(500).end('{"opinion":"approve"}'), 'status 500'],
  ['204', (response) => response.writeHead(204).end(), 'status 204'],
  ['more than it may', (response) => response.end(`{"opinion":"approve"}${' '.repeat(17_000)}`), 'longer than 16384'],
  ['a connection that breaks', (response) => response.destroy(), 'could not be reached'],
])('takes nothing from %s', async (_name, answer, reason) => {
  const opinion = await ask(await startEvaluator(answer))
  expect(opinion).toEqual({ type: 'failed', reason: expect.stringContaining(reason) })
})

it('follows no redirect', async () => {
  const elsewhere = await startEvaluator({ opinion: 'approve' })
  const server = await startEvaluator((response) => response.writeHead(307, { location: elsewhere.url }).end())
  expect(await ask(server)).toEqual({ type: 'failed', reason: 'it answered with the status 307' })
  expect(elsewhere.asked).toEqual([])
})

it('waits no longer than it should, for headers and for a body that trickles', async () => {
  const silent = await startEvaluator(() => {})
  expect(await ask(silent, { timeoutMs: 100 })).toEqual({ type: 'failed', reason: 'nothing came within 100 ms' })
  const trickle = await startEvaluator((response) => {
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  })
  expect(await ask(trickle, { timeoutMs: 200 })).toMatchObject({ type: 'failed' })
})

it('says so when nobody listens, and when the caller leaves', async () => {
  const closed = createServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const address = closed.address()
  await new Promise((resolve) => closed.close(resolve))
  const port = typeof address === 'object' && address ? address.port : 0
  expect(await ask({ url: `http://127.0.0.1:${port}/` })).toEqual({
    type: 'failed',
    reason: 'it could not be reached (ECONNREFUSED)',
  })
  const leaving = new AbortController()
  const silent = await startEvaluator(() => leaving.abort())
  expect(await ask(silent, {}, leaving.signal)).toEqual({ type: 'failed', reason: 'the caller left' })
})
