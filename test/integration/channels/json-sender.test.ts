import { expect, it, onTestFinished, vi } from 'vitest'
import { createJsonSender } from '../../../lib/adapters/http/json-sender.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { type JsonReceiver, type Reply, startJsonReceiver } from '../../support/json-receiver.ts'
import { SELF_SIGNED } from '../../support/tls.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'

const never = () => new AbortController().signal

function sender() {
  const { send, close } = createJsonSender({ clock: systemClock })
  onTestFinished(close)
  return send
}

async function answerTo(reply: JsonReceiver<unknown>['reply'], signal = never()) {
  const receiver = await startJsonReceiver(reply)
  const url = `${receiver.url}/hook/s3cret?key=s3cret`
  const answer = await sender()({ method: 'POST', url, body: { a: 'é' } }, signal)
  expect(JSON.stringify(answer.outcome)).not.toContain('s3cret')
  return { ...answer, receiver }
}

it('sends JSON and reads the answer', async () => {
  const { outcome, body, receiver } = await answerTo({ status: 201, body: { id: '1' } })
  expect(outcome).toEqual({ type: 'delivered', status: 201 })
  expect(body).toEqual({ id: '1' })
  expect(receiver.received[0]).toMatchObject({
    method: 'POST',
    path: '/hook/s3cret?key=s3cret',
    headers: { 'content-type': 'application/json' },
    body: { a: 'é' },
  })
})

it.each<[Reply, object]>([
  [{ status: 204 }, { type: 'delivered', status: 204 }],
  [
    { status: 400, body: { error: 'https://evil' } },
    { type: 'rejected', status: 400 },
  ],
  [{ status: 413 }, { type: 'rejected', status: 413 }],
  [{ status: 401 }, { type: 'failed', status: 401 }],
  [{ status: 404 }, { type: 'failed', status: 404 }],
  [{ status: 410 }, { type: 'gone', status: 410 }],
  [
    { status: 429, headers: { 'retry-after': '7' } },
    { type: 'failed', status: 429, retryAfterMs: 7_000 },
  ],
  [{ status: 503 }, { type: 'failed', status: 503 }],
])('reads %j', async (reply, expected) => {
  const { outcome } = await answerTo(reply)
  expect(outcome).toMatchObject(expected)
  expect(JSON.stringify(outcome)).not.toContain('evil')
  if (!reply.headers) expect(outcome).not.toHaveProperty('retryAfterMs')
})

it('follows no redirect', async () => {
  const elsewhere = await startJsonReceiver()
  const { outcome } = await answerTo({ status: 307, headers: { location: elsewhere.url } })
  expect(outcome).toEqual({ type: 'failed', status: 307, detail: 'the service redirects (307), which is not followed' })
  expect(elsewhere.received).toEqual([])
})

it('fails where the connection breaks, and where nobody listens', async () => {
  expect((await answerTo('hang up')).outcome).toMatchObject({
    type: 'failed',
    detail: expect.stringMatching(/reached/),
  })
  const { outcome } = await sender()({ method: 'POST', url: 'http://127.0.0.1:1/s3cret', body: {} }, never())
  expect(outcome).toEqual({ type: 'failed', detail: 'the service could not be reached (ECONNREFUSED)' })
})

it('ends with its signal', async () => {
  const receiver = await startJsonReceiver('nothing')
  const stop = new AbortController()
  const sent = sender()({ method: 'POST', url: receiver.url, body: {} }, stop.signal)
  await receiver.request(1)
  stop.abort()
  expect((await sent).outcome).toEqual({ type: 'failed', detail: 'the attempt was ended' })
})

it('takes no long answer', async () => {
  const { outcome } = await answerTo({ body: 'x'.repeat(70_000) })
  expect(outcome).toEqual({ type: 'failed', detail: 'the answer of the service is too long' })
})

it('opens at most four connections to a service', async () => {
  const receiver = await startJsonReceiver('nothing')
  const send = sender()
  const stop = new AbortController()
  const sent = [...Array(8)].map(() => send({ method: 'POST', url: receiver.url, body: {} }, stop.signal))
  await receiver.request(4)
  stop.abort()
  await Promise.all(sent)
  expect(receiver.received).toHaveLength(4)
})

it.each(['1', '0'])(
  'sends nothing where the certificate is not trusted (NODE_TLS_REJECT_UNAUTHORIZED=%s)',
  async (word) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', word)
    onTestFinished(() => void vi.unstubAllEnvs())
    const receiver = await startReceiver({ tls: SELF_SIGNED })
    const { outcome } = await sender()({ method: 'POST', url: receiver.url, body: {} }, never())
    expect(outcome).toEqual({ type: 'failed', detail: expect.stringContaining('CERT') })
    expect(receiver.received).toEqual([])
  },
)
