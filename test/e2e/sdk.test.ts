import { expect } from 'vitest'
import { type Client, createClient, type Pending } from '../../clients/sdk/index.ts'
import { scenario, type World } from '../support/server.ts'

const agentOf = ({ url, agent }: World): Client => createClient({ url, key: agent.secret })
const personOf = ({ url, admin }: World): Client => createClient({ url, key: admin.secret })

/** Decides everything that comes, as a person would; ends with the signal. */
const deciding = (person: Client, decision: 'approve' | 'deny', more: object = {}) => {
  const stop = person.approvals.onPending(async ({ id }) => {
    await person.approvals.decide(id, decision, more)
  })
  return stop
}

scenario('guard: held, approved with edits, run, reported', async (world) => {
  const person = personOf(world)
  const stop = deciding(person, 'approve', { reason: 'half is enough', edits: { amount: 25 } })
  const pendings: Pending[] = []
  const result = await agentOf(world).guard(
    'stripe.refund',
    { amount: 50, to: 'c1' },
    { context: { session: 's1', labels: ['money'] }, onPending: (pending) => pendings.push(pending) },
  )
  stop()
  expect(result).toMatchObject({
    effect: 'allow',
    args: { amount: 25, to: 'c1' },
    edited: true,
    reason: 'half is enough',
    decidedBy: [{ name: 'owner' }],
  })
  if (result.effect !== 'allow') return
  await result.report('executed', 'refunded')
  const record = await person.approvals.get(result.approvalId ?? '')
  expect(record).toMatchObject({ status: 'settled', settlement: { outcome: 'executed', detail: 'refunded' } })
  expect(record.history?.map(({ type }) => type)).toEqual(['requested', 'approved', 'claimed', 'settled'])
})

scenario('guard: a denial, an expiry and a policy’s no are different values', async (world) => {
  const agent = agentOf(world)
  const stop = deciding(personOf(world), 'deny', { reason: 'no "refunds"\ntoday' })
  expect(await agent.guard('stripe.refund', { amount: 1 })).toMatchObject({
    effect: 'deny',
    code: 'approval_denied',
    reason: 'no "refunds"\ntoday',
    retryable: false,
  })
  stop()
  expect(await agent.guard('quick.x', {})).toMatchObject({ effect: 'deny', code: 'approval_expired' })
  expect(await agent.guard('never.x', {})).toMatchObject({ effect: 'deny', code: 'policy_denied' })
  const free = await agent.guard('free', { a: 1 })
  expect(free).toMatchObject({ effect: 'allow', args: { a: 1 }, edited: false })
  expect(free).not.toHaveProperty('approvalId')
})

scenario(
  'guard: waits in pieces as one call; nobody is asked twice',
  async (world) => {
    const agent = agentOf(world)
    const person = personOf(world)
    const requests: number[] = []
    const pieces = createClient({
      url: world.url,
      key: world.agent.secret,
      fetch: async (input, init) => {
        const response = await fetch(input, init)
        requests.push(response.status)
        if (requests.length === 3) await person.approvals.decide((await agent.get(id)).id, 'approve')
        return response
      },
    })
    let id = ''
    const result = await pieces.guard(
      'stripe.refund',
      { amount: 2 },
      {
        onPending: ({ approvalId }) => {
          id = approvalId
        },
      },
    )
    expect(result).toMatchObject({ effect: 'allow', approvalId: id })
    expect(requests).toEqual([202, 202, 202, 200])
    expect((await person.approvals.list()).items).toHaveLength(1)
  },
  { config: 'gate: { maxWait: 1s }' },
)

scenario('guard: the server restarts while the call is held; the wait goes on', async (world) => {
  let id = ''
  let asked = () => {}
  const held = new Promise<void>((resolve) => {
    asked = resolve
  })
  const waiting = agentOf(world).guard('stripe.refund', { amount: 3 })
  const stop = personOf(world).approvals.onPending((approval) => {
    id = approval.id
    asked()
  })
  await held
  stop()
  await world.restart()
  await personOf(world).approvals.decide(id, 'approve')
  expect(await waiting).toMatchObject({ effect: 'allow', approvalId: id })
})

scenario('guard: a new process takes up the approval of the old one by its id', async (world) => {
  const stop = new AbortController()
  let id = ''
  const before = agentOf(world).guard(
    'stripe.refund',
    { amount: 4 },
    {
      timeoutMs: 1500,
      onPending: ({ approvalId }) => {
        id = approvalId
      },
      signal: stop.signal,
    },
  )
  expect(await before).toMatchObject({ effect: 'deny', code: 'no_decision', retryable: true, approvalId: id })
  await personOf(world).approvals.decide(id, 'approve')
  const after = await agentOf(world).guard('stripe.refund', { amount: 4 }, { approvalId: id })
  expect(after).toMatchObject({ effect: 'allow', approvalId: id })
  // The use is spent: the approval serves no other call.
  const other = await agentOf(world).guard('stripe.refund', { amount: 4 }, { approvalId: id })
  expect(other).toMatchObject({ effect: 'deny', code: 'already_used' })
})

scenario('guard: an abort leaves the approval pending; withdraw cancels it', async (world) => {
  const agent = agentOf(world)
  const stop = new AbortController()
  const waiting = agent.guard('stripe.refund', { amount: 5 }, { signal: stop.signal })
  const [record] = await world.admin.pending()
  const id = record?.id ?? ''
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'aborted' })
  expect(await agent.get(id)).toMatchObject({ status: 'pending' })
  const again = agent.guard('stripe.refund', { amount: 5 }, { approvalId: id })
  await agent.withdraw(id)
  expect(await again).toMatchObject({ effect: 'deny', code: 'approval_cancelled' })
  expect(await agent.get(id, { waitSeconds: 20 })).toMatchObject({ status: 'cancelled' })
})

scenario('guard: what was not executed is given back and can be used again', async (world) => {
  const agent = agentOf(world)
  const stop = deciding(personOf(world), 'approve')
  const first = await agent.guard('stripe.refund', { amount: 6 })
  stop()
  if (first.effect === 'allow') await first.report('not_executed', 'the bank was closed')
  const second = await agent.guard('stripe.refund', { amount: 6 })
  expect(second).toMatchObject({ effect: 'allow', approvalId: first.approvalId })
})

scenario('wrap: runs what was approved, reports what came of it, runs nothing that was denied', async (world) => {
  const person = personOf(world)
  const stop = deciding(person, 'approve', { edits: { amount: 1 } })
  const ran: unknown[] = []
  const refund = agentOf(world).wrap(
    async (args: { amount: number }) => {
      ran.push(args)
      if (args.amount === 1 && ran.length === 2) throw new Error('the bank said no')
      return 'done'
    },
    { tool: 'stripe.refund' },
  )
  const result = await refund({ amount: 7 })
  expect(result).toMatchObject({ ok: true, value: 'done', edited: true, reported: true })
  await expect(refund({ amount: 8 })).rejects.toThrow('the bank said no')
  stop()
  const { items } = await person.approvals.list({ status: 'settled' })
  expect(items.map(({ settlement }) => settlement?.outcome)).toEqual(['failed', 'executed'])
  const stopDenying = deciding(person, 'deny')
  expect(await refund({ amount: 9 })).toMatchObject({ ok: false, denial: { code: 'approval_denied' } })
  stopDenying()
  expect(ran).toEqual([{ amount: 1 }, { amount: 1 }])
})

scenario('approvals: each pending one once, with what was there before; lists, batch decisions', async (world) => {
  const agent = agentOf(world)
  const person = personOf(world)
  const ask = (amount: number) => agent.guard('stripe.refund', { amount })
  const waiting = [ask(1), ask(2)]
  await world.admin.pending(2)
  const given: string[] = []
  const stop = person.approvals.onPending(({ id }) => {
    given.push(id)
  })
  await expect.poll(() => given).toHaveLength(2)
  waiting.push(ask(3))
  await expect.poll(() => given).toHaveLength(3)
  stop()
  expect(new Set(given).size).toBe(3)

  const page = await person.approvals.list({ status: 'pending', limit: 2 })
  expect(page.items).toHaveLength(2)
  const rest = await person.approvals.list({ status: 'pending', limit: 2, after: page.next ?? '' })
  expect(rest.items).toHaveLength(1)
  const unknown = `apr_${'0'.repeat(26)}`
  const results = await person.approvals.decideAll([...given, unknown], 'deny', { reason: 'closing' })
  expect(results.map(({ ok }) => ok)).toEqual([true, true, true, false])
  expect(results[3]?.problem?.code).toBe('approval_not_found')
  for (const result of await Promise.all(waiting)) expect(result).toMatchObject({ code: 'approval_denied' })
  expect(await person.approvals.expire({ allStale: true })).toEqual({ expired: 0 })
})

scenario('approvals: a restart of the server gives nothing twice and loses nothing', async (world) => {
  const agent = agentOf(world)
  const given: string[] = []
  const errors: unknown[] = []
  const stop = personOf(world).approvals.onPending(
    ({ id }) => {
      given.push(id)
    },
    { onError: (error) => errors.push(error) },
  )
  const waiting = [agent.guard('stripe.refund', { amount: 1 })]
  await expect.poll(() => given).toHaveLength(1)
  await world.restart()
  waiting.push(agent.guard('stripe.refund', { amount: 2 }))
  await expect.poll(() => given, { timeout: 10_000 }).toHaveLength(2)
  stop()
  expect(errors).toEqual([])
  await personOf(world).approvals.decideAll(given, 'approve')
  for (const result of await Promise.all(waiting)) expect(result).toMatchObject({ effect: 'allow' })
})

scenario('a decision that came too late carries the standing one', async (world) => {
  const person = personOf(world)
  const waiting = agentOf(world).guard('stripe.refund', { amount: 10 })
  const [record] = await world.admin.pending()
  const id = record?.id ?? ''
  await person.approvals.decide(id, 'deny')
  await expect(person.approvals.decide(id, 'approve')).rejects.toMatchObject({
    code: 'already_decided',
    status: 409,
    problem: { approval: { status: 'denied' } },
  })
  expect(await person.approvals.decide(id, 'deny')).toMatchObject({ status: 'denied' })
  await waiting
})

scenario('a wrong credential, a reused key and a foreign approval are errors, not denials', async (world) => {
  const { url } = world
  await expect(createClient({ url, key: 'csk_unknown' }).guard('free', {})).rejects.toMatchObject({
    code: 'unauthenticated',
    status: 401,
  })
  await expect(createClient({ url, key: world.admin.secret }).guard('free', {})).rejects.toMatchObject({
    code: 'forbidden',
  })
  const agent = agentOf(world)
  const short = { idempotencyKey: 'k1', timeoutMs: 1 }
  await agent.guard('stripe.refund', { amount: 1 }, { ...short, timeoutMs: 1000 })
  await expect(agent.guard('stripe.refund', { amount: 2 }, { idempotencyKey: 'k1' })).rejects.toMatchObject({
    code: 'idempotency_key_reused',
  })
  await expect(
    agent.guard('stripe.refund', { amount: 2 }, { approvalId: `apr_${'0'.repeat(26)}` }),
  ).rejects.toMatchObject({ code: 'approval_not_found' })
})
