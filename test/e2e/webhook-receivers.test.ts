import { once } from 'node:events'
import { connect } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { webhookHeaders, webhookKey } from '../../lib/core/webhook-signature.ts'
import { withBackend } from '../support/backends/backend.ts'
import { findPlainPython, type Python } from '../support/backends/python.ts'
import { runExample } from '../support/example.ts'
import { startWorld } from '../support/server.ts'
import { WEBHOOK_SECRET } from '../support/webhook-receiver.ts'

const KEY = webhookKey(WEBHOOK_SECRET) ?? Buffer.alloc(0)
const OTHER_KEY = Buffer.alloc(32, 7)
const MINUTE = 60_000
const data = { id: 'apr_1', status: 'pending', action: { summary: 'stripe.refund  amount=5 «ü»' } }
const body = JSON.stringify({ type: 'approval.requested', timestamp: '2026-01-01T00:00:00Z', data })

type Start = (env: Record<string, string>) => ReturnType<typeof runExample>

async function listening(start: Start) {
  const receiver = start({ WEBHOOK_SECRET, PORT: '0' })
  await receiver.prints('listening on http')
  const url = /listening on (\S+)/.exec(receiver.output())?.[1] ?? ''
  const post = async (headers: Record<string, string>, text = body) =>
    (await fetch(url, { method: 'POST', headers, body: text })).status
  return { ...receiver, url, post }
}

const signed = ({ id = 'msg_1', at = Date.now(), keys = [KEY], text = body } = {}) =>
  webhookHeaders(keys, { id, at, body: text })

function receiverTests(start: Start) {
  test('takes what is signed, each once, and answers every time', async () => {
    const { post, prints, output } = await listening(start)
    expect(await post(signed())).toBe(204)
    expect(await post(signed())).toBe(204)
    expect(await post(signed({ id: 'msg_2' }))).toBe(204)
    await prints('approval.requested  apr_1  pending  "stripe.refund')
    await expect.poll(() => output().match(/approval\.requested/g)).toHaveLength(2)
  })

  test('takes a signature of the reference library, and either of two during a rotation', async () => {
    const { post } = await listening(start)
    const at = new Date()
    expect(
      await post({
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': new Webhook(WEBHOOK_SECRET).sign('msg_1', at, body),
      }),
    ).toBe(204)
    expect(await post(signed({ id: 'msg_2', keys: [OTHER_KEY, KEY] }))).toBe(204)
  })

  test('refuses what is not signed by its key, changed, stale, from the future, or too long', async () => {
    const { post, output } = await listening(start)
    const good = signed()
    const refused: [Record<string, string>, string?][] = [
      [{}],
      [signed({ keys: [OTHER_KEY] })],
      [good, body.replace('=5', '=5000')],
      [{ ...good, 'webhook-id': 'msg_2' }],
      [{ ...good, 'webhook-timestamp': String(Number(good['webhook-timestamp']) + 1) }],
      [{ ...good, 'webhook-timestamp': 'now' }],
      [signed({ at: Date.now() - 6 * MINUTE })],
      [signed({ at: Date.now() + 6 * MINUTE })],
      [{ ...good, 'webhook-signature': good['webhook-signature'].slice(0, -8) }],
      [{ ...good, 'webhook-signature': good['webhook-signature'].replace('v1,', 'v1a,') }],
      [{ ...good, 'webhook-signature': 'v1,' }],
      [{ ...good, 'webhook-signature': 'v1,!not-base64!' }],
    ]
    for (const [headers, text] of refused) expect(await post(headers, text), JSON.stringify(headers)).toBe(401)
    // A receiver may hang up before it has read all.
    expect(await post(good, 'x'.repeat(70_000)).catch(() => 413)).toBe(413)
    expect(output()).not.toContain('approval.requested')
    expect(await post(good)).toBe(204)
  })

  test('goes on when a sender hangs up in the middle', async () => {
    const { url, post } = await listening(start)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    await once(socket, 'connect')
    socket.end('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{')
    await once(socket.resume(), 'close')
    expect(await post(signed())).toBe(204)
  })

  test('hears of a request, its decision and its outcome from a real server', async () => {
    const { url, prints } = await listening(start)
    const world = await startWorld({
      config: JSON.stringify({
        network: { allowPrivate: ['127.0.0.1'] },
        webhooks: [{ id: 'example', url, secret: WEBHOOK_SECRET }],
      }),
    })
    const asked = world.agent.ask('stripe.refund', { amount: 5 })
    const [pending] = await world.admin.pending()
    const id = pending?.id ?? ''
    await prints(`approval.requested  ${id}  pending`)
    await world.admin.decide(id, 'approve')
    await prints(`approval.decided  ${id}  approved`)
    await asked
    await world.agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
    await prints(`approval.settled  ${id}  settled`)
  })

  test('says that it needs the secret', async () => {
    const receiver = start({})
    expect(await receiver.exited).not.toBe(0)
    expect(receiver.output()).toContain('Set WEBHOOK_SECRET')
  })
}

describe('the receiver in Node', () =>
  receiverTests((env) => runExample(process.execPath, 'webhook-receiver.mjs', env)))

await withBackend('the receiver in Python', findPlainPython, (python: Python) =>
  receiverTests((env) => runExample(python.command, 'python/webhook_receiver.py', { ...python.env, ...env })),
)
