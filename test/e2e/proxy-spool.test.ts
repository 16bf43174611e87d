import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { bearer, type ProxyWorld, proxied } from '../support/proxy-world.ts'

const MIB = 1024 * 1024
const body = randomBytes(50 * MIB)
const whole = { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex'), complete: true }
const withLength = { 'content-length': String(body.length) }
const chunked = { 'transfer-encoding': 'chunked' }

/** A call with the first bytes of its body, or all of them. */
function upload({ send }: ProxyWorld, headers: Record<string, string>, bytes: number, path = 'refunds/large') {
  const state = { isTaken: false }
  let write = (_chunk: Buffer) => {}
  let taken = Promise.resolve()
  const sent = send('PUT', `api/${path}`, {
    headers,
    body: (out) => {
      write = (chunk) => void out.end(chunk)
      taken = new Promise((resolve) => {
        const done = () => {
          state.isTaken = true
          resolve()
        }
        if (bytes === body.length) out.end(body, done)
        else out.write(body.subarray(0, bytes), done)
      })
    },
  })
  return {
    ...sent,
    /** Resolves when the gate has read these bytes, but for what fits into the buffers of a connection. */
    taken,
    isTaken: () => state.isTaken,
    finish: () => write(body.subarray(bytes)),
  }
}

proxied(
  'an agent that leaves while its long body is held cancels within a second, in the middle of it or behind its end',
  async (world) => {
    const { admin, asked, upstream } = world
    for (const [headers, bytes] of [
      [withLength, 20 * MIB],
      [withLength, body.length],
      // Its key cannot make it come back: it is not known again.
      [{ ...chunked, 'idempotency-key': 'k' }, 20 * MIB],
      [chunked, body.length],
    ] as const) {
      const { leave, taken } = upload(world, headers, bytes)
      const { id } = await asked()
      await taken
      expect(await admin.record(id)).toMatchObject({ status: 'pending' })
      const leftAt = performance.now()
      leave()
      const record = await admin.recordThat(id, ({ status }) => status !== 'pending')
      expect(performance.now() - leftAt).toBeLessThan(1_000)
      expect(record.status).toBe('cancelled')
      expect(await admin.decide(id, 'approve')).toMatchObject({ status: 409, body: { code: 'approval_cancelled' } })
    }
    expect(upstream.connections).toBe(0)
  },
)

proxied('a body that ends short, or in nonsense, while it is held is cancelled and not forwarded', async (world) => {
  const { admin, agent, asked, upstream, url } = world
  for (const [framing, first, end] of [
    ['Content-Length: 10000000', body.subarray(0, 9_000_000), ''],
    [
      'Transfer-Encoding: chunked',
      Buffer.concat([Buffer.from('500000\r\n'), body.subarray(0, 0x500000)]),
      '\r\nnonsense',
    ],
  ] as const) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined).resume()
    const { authorization } = bearer(agent)
    socket.write(
      `PUT /proxy/api/refunds/x HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n${framing}\r\n\r\n`,
    )
    await new Promise<void>((resolve) => socket.write(first, () => resolve()))
    const { id } = await asked()
    if (end === '') socket.end()
    else socket.write(end)
    expect(await admin.recordThat(id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'cancelled' })
  }
  expect(upstream.connections).toBe(0)
})

proxied('a long body that came whole while it was held goes as it came, in its own framing', async (world) => {
  const { admin, asked, upstream } = world
  for (const headers of [withLength, chunked, { ...withLength, expect: '100-continue' }]) {
    const { answer, taken } = upload(world, headers, body.length)
    const { id } = await asked()
    await taken
    expect(upstream.begun).toBe(upstream.received.length)
    await admin.decide(id, 'approve')
    expect((await answer).status).toBe(200)
    const received = upstream.received.at(-1)
    expect(received).toMatchObject(whole)
    const { 'content-length': length, 'transfer-encoding': coding } = received?.headers ?? {}
    expect([length, coding]).toEqual(
      'transfer-encoding' in headers ? [undefined, 'chunked'] : [`${body.length}`, undefined],
    )
  }
})

proxied('an upload that still goes on when a person approves arrives whole', async (world) => {
  const { admin, asked, upstream } = world
  for (const headers of [withLength, chunked]) {
    const { answer, taken, finish } = upload(world, headers, 20 * MIB)
    const { id } = await asked()
    await taken
    const before = upstream.begun
    await admin.decide(id, 'approve')
    while (upstream.begun === before) await new Promise((resolve) => setTimeout(resolve, 5))
    finish()
    expect((await answer).status).toBe(200)
    expect(upstream.received.at(-1)).toMatchObject(whole)
  }
})

proxied('a refusal, an expiry and a stop reach an agent whose long body came whole', async (world) => {
  const { admin, asked, upstream } = world
  const refused = upload(world, withLength, body.length)
  const { id } = await asked()
  await refused.taken
  await admin.decide(id, 'deny')
  expect(await refused.answer).toMatchObject({ status: 403, json: { code: 'approval_denied' } })

  const expired = upload(world, chunked, body.length, 'quick')
  expect(await expired.answer).toMatchObject({ status: 403, json: { code: 'approval_expired' } })

  const stopped = upload(world, chunked, body.length)
  const { id: other } = await asked()
  await stopped.taken
  await world.restart()
  expect(await stopped.answer).toMatchObject({ status: 503, json: { code: 'shutting_down', approvalId: other } })
  expect(await admin.record(other)).toMatchObject({ status: 'pending' })
  expect(upstream.connections).toBe(0)
})

proxied('an agent that sends all of its body before it reads comes to a refusal of the rules', async (world) => {
  for (const headers of [withLength, chunked]) {
    // Otherwise the gate would close the connection with its answer.
    const { answer, taken } = upload(world, { ...headers, connection: 'keep-alive' }, body.length, 'never/large')
    await taken
    expect(await answer).toMatchObject({ status: 403, json: { code: 'policy_denied' } })
  }
  expect(world.upstream.connections).toBe(0)
})

proxied(
  'a long body for which there is no room waits at its agent, and arrives whole',
  async (world) => {
    const { admin, asked, upstream } = world
    for (const headers of [withLength, chunked]) {
      const { answer, isTaken } = upload(world, headers, body.length)
      const { id } = await asked()
      expect(isTaken()).toBe(false)
      await admin.decide(id, 'approve')
      expect((await answer).status).toBe(200)
      expect(isTaken()).toBe(true)
      expect(upstream.received.at(-1)).toMatchObject(whole)
    }
  },
  { config: () => 'gate: { maxSpool: 1MiB }' },
)
