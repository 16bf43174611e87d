import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createWebhookSender, readRetryAfter } from '../../../lib/adapters/webhook/sender.ts'
import type { WebhookMessage } from '../../../lib/ports/webhook-sender.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { SELF_SIGNED } from '../../support/tls.ts'
import { startReceiver, verified, WEBHOOK_SECRET } from '../../support/webhook-receiver.ts'

const NEVER = new AbortController().signal

function openSender(allowPrivate = ['127.0.0.1']) {
  const sender = createWebhookSender({ allowPrivate, userAgent: 'Countersign/1.2.3', clock: systemClock })
  onTestFinished(() => sender.close())
  return sender
}

const messageTo = (url: string, more: Partial<WebhookMessage> = {}): WebhookMessage => ({
  url,
  id: 'apr_01jd0000000000000000000000:1',
  at: Date.now(),
  body: '{"type":"webhook.test","timestamp":"2026-01-01T00:00:00.000Z","data":{}}',
  secrets: [WEBHOOK_SECRET],
  ...more,
})

describe('the sender', () => {
  it('posts what the reference library verifies, and says who it is', async () => {
    const receiver = await startReceiver()
    const message = messageTo(`${receiver.url}?a=b%20c`)
    expect(await openSender().send(message, NEVER)).toEqual({ type: 'delivered', status: 204 })
    const [got] = receiver.received
    expect(got?.text).toBe(message.body)
    expect(got?.path).toBe('/hook?a=b%20c')
    expect(got?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'Countersign/1.2.3',
      'webhook-id': message.id,
    })
    expect(verified(got!)).toEqual(JSON.parse(message.body))
  })

  it('signs with both secrets during a rotation', async () => {
    const receiver = await startReceiver()
    const other = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
    await openSender().send(messageTo(receiver.url, { secrets: [other, WEBHOOK_SECRET] }), NEVER)
    for (const secret of [other, WEBHOOK_SECRET]) expect(() => verified(receiver.received[0]!, secret)).not.toThrow()
  })

  it.each([
    [200, { type: 'delivered', status: 200 }],
    [299, { type: 'delivered', status: 299 }],
    [301, { type: 'failed', status: 301, detail: 'it answered with a redirect (301), and none is followed' }],
    [307, { type: 'failed', status: 307, detail: 'it answered with a redirect (307), and none is followed' }],
    [400, { type: 'failed', status: 400, detail: 'it answered with the status 400' }],
    [410, { type: 'gone', status: 410, detail: 'it answered with the status 410' }],
    [500, { type: 'failed', status: 500, detail: 'it answered with the status 500' }],
  ])('reads the status %d', async (status, outcome) => {
    const target = await startReceiver()
    const receiver = await startReceiver({ reply: () => ({ status, headers: { location: target.url } }) })
    expect(await openSender().send(messageTo(receiver.url), NEVER)).toEqual(outcome)
    expect(target.received).toEqual([])
  })

  it('hears when it may come back', async () => {
    const receiver = await startReceiver({ reply: () => ({ status: 429, headers: { 'retry-after': '120' } }) })
    expect(await openSender().send(messageTo(receiver.url), NEVER)).toMatchObject({ retryAfterMs: 120_000 })
  })

  it.each([
    ['cuts the connection', { reset: true }, /^it could not be reached \(/],
    ['talks nonsense', { nonsense: true }, /^its answer is no HTTP$/],
    [
      'has a head without end',
      { headers: { x: 'x'.repeat(9_000) } },
      /head of its answer is too long|could not be reached/,
    ],
  ])('fails when the receiver %s', async (_what, reply, detail) => {
    const receiver = await startReceiver({ reply: () => reply })
    const outcome = await openSender().send(messageTo(receiver.url), NEVER)
    expect(outcome).toEqual({ type: 'failed', detail: expect.stringMatching(detail) })
  })

  it('fails when nobody listens', async () => {
    const receiver = await startReceiver()
    await receiver.close()
    const outcome = await openSender().send(messageTo(receiver.url), NEVER)
    expect(outcome).toEqual({ type: 'failed', detail: 'it could not be reached (ECONNREFUSED)' })
  })

  it('gives up with its signal', async () => {
    const receiver = await startReceiver({ reply: () => ({ hang: true }) })
    const deadline = new AbortController()
    const sent = openSender().send(messageTo(receiver.url), deadline.signal)
    await receiver.until(() => receiver.received.length === 1, 'the request')
    deadline.abort()
    expect(await sent).toEqual({ type: 'failed', detail: 'no answer came in time' })
  })

  it('reads no more than a few kilobytes of an answer, however long it is', async () => {
    const receiver = await startReceiver({ reply: () => ({ status: 200, text: 'x'.repeat(64 * 1024 * 1024) }) })
    expect(await openSender().send(messageTo(receiver.url), NEVER)).toEqual({ type: 'delivered', status: 200 })
  })

  it('reaches no private address, and says no address', async () => {
    const receiver = await startReceiver()
    for (const url of [receiver.url, `https://127.0.0.1:${receiver.port}/`, `https://localhost:${receiver.port}/`]) {
      const outcome = await openSender([]).send(messageTo(url), NEVER)
      expect(outcome).toEqual({ type: 'failed', detail: expect.stringContaining('network.allowPrivate') })
      expect(JSON.stringify(outcome)).not.toMatch(/127\.0\.0\.1|localhost/)
    }
    expect(receiver.received).toEqual([])
  })

  it.each(['ftp://127.0.0.1/', 'file:///etc/passwd', 'nonsense'])('does nothing with %s', async (url) => {
    expect(await openSender().send(messageTo(url), NEVER)).toEqual({
      type: 'failed',
      detail: expect.stringMatching(/^its URL is/),
    })
  })

  it.each([[[]], [['whsec_short']], [[WEBHOOK_SECRET, 'whsec_short']]])(
    'sends nothing unsigned: %j',
    async (secrets) => {
      const receiver = await startReceiver()
      const outcome = await openSender().send(messageTo(receiver.url, { secrets }), NEVER)
      expect(outcome).toEqual({ type: 'failed', detail: 'a secret of this endpoint cannot sign' })
      expect(receiver.received).toEqual([])
    },
  )
})

describe('over TLS', () => {
  it.each(['1', '0'])(
    'accepts no certificate that nobody known has signed (NODE_TLS_REJECT_UNAUTHORIZED=%s)',
    async (word) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', word)
      onTestFinished(() => void vi.unstubAllEnvs())
      const receiver = await startReceiver({ tls: SELF_SIGNED })
      const outcome = await openSender().send(messageTo(receiver.url), NEVER)
      expect(outcome).toEqual({ type: 'failed', detail: expect.stringContaining('its certificate is not accepted') })
      expect(receiver.received).toEqual([])
    },
  )

  it('accepts one of an authority that NODE_EXTRA_CA_CERTS names', async () => {
    const receiver = await startReceiver({ tls: SELF_SIGNED })
    const directory = mkdtempSync(join(tmpdir(), 'countersign-tls-'))
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    const file = join(directory, 'ca.pem')
    writeFileSync(file, SELF_SIGNED.cert)
    const script = `
      import { createWebhookSender } from ${JSON.stringify(new URL('../../../lib/adapters/webhook/sender.ts', import.meta.url))}
      const sender = createWebhookSender({ allowPrivate: ['127.0.0.1'], userAgent: 'test', clock: { now: Date.now } })
      const outcome = await sender.send(${JSON.stringify(messageTo(receiver.url))}, new AbortController().signal)
      console.log(JSON.stringify(outcome))
      await sender.close()
    `
    const tsx = fileURLToPath(import.meta.resolve('tsx'))
    const child = spawn(process.execPath, ['--import', tsx, '--input-type=module', '--eval', script], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: file },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    await once(child, 'close')
    expect(JSON.parse(said)).toEqual({ type: 'delivered', status: 204 })
    expect(receiver.received).toHaveLength(1)
  })
})

describe('Retry-After', () => {
  const now = Date.UTC(2026, 0, 1)
  it.each<[string | string[] | undefined, number | undefined]>([
    ['120', 120_000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e9', undefined],
    ['99999999999', undefined],
    ['soon', undefined],
    ['2030', 2_030_000],
    ['2026-01-01T00:01:00Z', undefined],
    ['', undefined],
    [undefined, undefined],
    [['1', '2'], undefined],
  ])('%j means %s', (header, expected) => {
    expect(readRetryAfter(header, now)).toBe(expected)
  })
})
