import { expect, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { type Caller, type Frame, scenario } from '../support/server.ts'

const later = { headers: { prefer: 'respond-async' } }

const ask = async (agent: Caller, n: number) => (await agent.ask('kept.x', { n }, later)).body.approvalId ?? ''

const told = (frames: Frame[]) => frames.map(({ event, approval }) => `${event} ${approval?.id} ${approval?.version}`)

scenario('a stream begins with all that is pending, then tells what happens, in order', async ({ agent, admin }) => {
  const first = await ask(agent, 1)
  await admin.pending(1)
  const stream = await admin.stream()
  expect(stream.snapshot.map(({ id }) => id)).toEqual([first])
  const answer = agent.ask('kept.x', { n: 2 })
  const { approval } = await stream.frame(({ event }) => event === 'requested')
  const id = approval?.id ?? ''
  stream.send({ type: 'decide', ref: 'r1', id, decision: 'approve', reason: 'fine' })
  const ack = await stream.frame(({ ref }) => ref === 'r1')
  expect(ack).toMatchObject({ type: 'ack', approval: { id, status: 'approved', decidedBy: [{ via: 'ws' }] } })
  expect((await answer).status).toBe(200)
  await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed', detail: 'done' } })
  await stream.frame(({ event }) => event === 'settled')
  expect(stream.events().map(({ event, approval }) => [event, approval?.status])).toEqual([
    ['requested', 'pending'],
    ['decided', 'approved'],
    ['settled', 'settled'],
  ])
})

scenario('the decision of several people is told with all their votes', async (world) => {
  const { agent, admin } = world
  const bob = await world.caller('bob', 'approver')
  const stream = await admin.stream()
  const { body } = await agent.ask('two.people', {}, later)
  const id = body.approvalId ?? ''
  await bob.decide(id, 'approve')
  await admin.decide(id, 'approve')
  const { approval } = await stream.frame(({ event }) => event === 'decided')
  expect(approval?.votes.map(({ by }) => by.name)).toEqual(['bob', 'owner'])
})

scenario('a client that comes back gets all that is pending and what it missed, nothing twice', async (world) => {
  const { agent, admin } = world
  const [seen, missed, still] = [await ask(agent, 1), await ask(agent, 2), await ask(agent, 3)]
  await admin.pending(3)
  const first = await admin.stream()
  await admin.decide(seen, 'approve')
  await first.frame(({ approval, event }) => event === 'decided' && approval?.id === seen)
  const { cursor } = first
  first.socket.terminate()

  await admin.decide(missed, 'deny')
  const fresh = await ask(agent, 4)
  await admin.pending(2)
  const second = await admin.stream(cursor)
  expect(second.snapshot.map(({ id }) => id).sort()).toEqual([still, fresh].sort())
  expect(second.frames[0]).toMatchObject({ reset: false })
  await second.frame(({ event, approval }) => event === 'decided' && approval?.id === missed)

  await world.restart()
  const third = await admin.stream(second.cursor)
  expect(third.frames[0]).toMatchObject({ reset: false })
  await admin.decide(still, 'approve')
  await third.frame(({ event, approval }) => event === 'decided' && approval?.id === still)
  const all = told([...first.events(), ...second.events(), ...third.events()])
  expect(new Set(all).size).toBe(all.length)
  expect(all.filter((line) => line.startsWith('decided'))).toHaveLength(3)
})

scenario('a stream that is open while the server stops is closed with 1001', async (world) => {
  const stream = await world.admin.stream()
  await world.stop()
  await stream.until(() => stream.closed !== undefined, 'the close')
  expect(stream.closed).toBe(1001)
})

scenario('nonsense frames get an error that says what is wrong, and the stream goes on', async ({ agent, admin }) => {
  const stream = await admin.stream()
  const nonsense = [
    '{',
    '[]',
    '{"type":"dance"}',
    '{"type":"decide"}',
    '{"type":"decide","ref":"x","id":1,"decision":"maybe"}',
  ]
  for (const [index, text] of nonsense.entries()) {
    stream.send(text)
    await stream.until(() => stream.frames.filter(({ type }) => type === 'error').length === index + 1, 'an error')
  }
  stream.send({ type: 'subscribe', after: 'nonsense' })
  stream.send({ type: 'decide', ref: 'gone', id: 'apr_01jd6x0q3v8m2c4k7s9t5w1y3z', decision: 'approve' })
  expect(await stream.frame(({ ref }) => ref === 'gone')).toMatchObject({
    type: 'error',
    problem: { status: 404, code: 'approval_not_found' },
  })
  const id = await ask(agent, 1)
  await stream.frame(({ approval }) => approval?.id === id)
})

scenario('a stream tells its own tenant and filter, and lets observers look but not decide', async (world) => {
  const { agent, admin } = world
  const foreigner = await world.caller('foreigner', 'admin', { tenant: 'other' })
  const observer = await world.caller('olga', 'observer')
  const streams = { foreign: await foreigner.stream(), own: await observer.stream() }
  const filtered = await admin.stream()
  filtered.send({ type: 'subscribe', filter: { tool: 'stripe.refund' } })
  await filtered.until(() => filtered.frames.filter(({ type }) => type === 'snapshot').length === 2, 'a snapshot')
  const id = await ask(agent, 1)
  const refund = (await agent.ask('stripe.refund', { amount: 1 }, later)).body.approvalId ?? ''
  await filtered.frame(({ approval }) => approval?.id === refund)
  expect(filtered.events()).toHaveLength(1)
  await streams.own.frame(({ approval }) => approval?.id === refund)
  expect(streams.own.events()).toHaveLength(2)
  streams.own.send({ type: 'decide', ref: 'r', id, decision: 'approve' })
  expect((await streams.own.frame(({ ref }) => ref === 'r')).problem).toMatchObject({ status: 403, code: 'forbidden' })
  streams.foreign.send({ type: 'decide', ref: 'r', id, decision: 'approve' })
  expect((await streams.foreign.frame(({ ref }) => ref === 'r')).problem).toMatchObject({ status: 404 })
  expect(streams.foreign.events()).toEqual([])
})

scenario('who has no key, an agent’s key, or a used ticket opens no stream', async (world) => {
  const { agent, admin } = world
  const open = (path: string, headers: Record<string, string> = {}) =>
    new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(`${world.url.replace('http', 'ws')}${path}`, 'countersign.v1', { headers })
      onTestFinished(() => socket.terminate())
      socket.once('open', () => resolve(101))
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      socket.once('error', reject)
    })
  expect(await open('/v1/stream')).toBe(401)
  expect(await open('/v1/stream', { authorization: `Bearer ${agent.secret}` })).toBe(403)
  const { body } = await admin.send<{ ticket: string }>('POST', '/v1/stream/ticket')
  expect(await open(`/v1/stream?ticket=${body.ticket}`)).toBe(101)
  expect(await open(`/v1/stream?ticket=${body.ticket}`)).toBe(401)
  expect((await admin.send('GET', '/v1/stream')).status).toBe(400)
})

scenario(
  'a client that does not drain is dropped, and the others are not delayed',
  async (world) => {
    const { agent, admin } = world
    const slow = await admin.stream()
    const quick = await admin.stream()
    slow.socket.pause()
    const text = 'x'.repeat(7_000)
    let asked = 0
    // The kernel's buffers fill up first; then ours does, and the client is dropped.
    while (!(await isDropped()) && asked < 4_000) {
      const ids = await Promise.all(
        Array.from({ length: 50 }, () => agent.ask('kept.big', { text, n: asked++ }, later)),
      )
      const last = ids.at(-1)?.body.approvalId
      await quick.frame(({ approval }) => approval?.id === last)
    }
    expect(await isDropped()).toBe(true)
    expect(quick.closed).toBeUndefined()
    async function isDropped() {
      const response = await fetch(`${world.url}/metrics`, { headers: { authorization: `Bearer ${admin.secret}` } })
      return /countersign_stream_clients 1\n/.test(await response.text())
    }
  },
  { config: 'gate: { maxHoldsPerAgent: 10000 }' },
)
