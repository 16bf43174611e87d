import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { Caller, POLICY } from '../support/server.ts'
import { startReceiver, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

const APPROVALS = 1_000
const DECIDED = 100
const WAIT_MS = 150_000

/** Stands where webhooks must not get: at an address that the configuration does not allow. */
async function startForbidden(): Promise<{ url: string; requests: number }> {
  const seen = { url: '', requests: 0 }
  const server = createServer((_request, response) => {
    seen.requests += 1
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.2', resolve))
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve(undefined))))
  seen.url = `http://127.0.0.2:${(server.address() as AddressInfo).port}/`
  return seen
}

test('of twenty endpoints five fail, three hang, one redirects: the others get all of a burst, in order, also when the server is killed in the middle', async () => {
  const forbidden = await startForbidden()
  const start = (count: number, reply: WebhookReceiver['reply']) =>
    Promise.all(Array.from({ length: count }, () => startReceiver({ reply })))
  const good = await start(11, () => ({}))
  const failing = await start(5, () => ({ status: 500 }))
  const hanging = await start(3, () => ({ hang: true }))
  const redirecting = await start(1, () => ({ status: 307, headers: { location: forbidden.url } }))
  const all = [...hanging, ...failing, ...redirecting, ...good]

  const cwd = mkdtempSync(join(tmpdir(), 'countersign-burst-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  writeFileSync(join(cwd, 'policy.yaml'), POLICY.replace('timeout: 1m', 'timeout: 1h'))
  writeFileSync(
    join(cwd, 'countersign.yaml'),
    JSON.stringify({
      gate: { maxHoldsPerAgent: APPROVALS },
      network: { allowPrivate: ['127.0.0.1'] },
      webhooks: all.map(({ url }, index) => ({ id: `hook-${index}`, url, secret: WEBHOOK_SECRET })),
    }),
  )
  const up = { cwd, env: { COUNTERSIGN_LOG_LEVEL: 'warn' }, args: ['--port', '0'] }
  const first = await startProcess(up)
  const owner = JSON.parse(readFileSync(join(cwd, '.countersign/owner.json'), 'utf8'))
  const agent = new Caller(first.url, owner.agentKey, 'agent')
  const asked = await Promise.all(
    Array.from({ length: APPROVALS }, (_, amount) =>
      agent.ask('stripe.refund', { amount }, { headers: { prefer: 'respond-async' } }),
    ),
  )
  const ids = asked.map(({ body }) => body.approvalId ?? '')
  expect(new Set(ids).size).toBe(APPROVALS)
  await good[0]!.until(() => good[0]!.received.length >= APPROVALS / 10, 'a tenth of it', WAIT_MS)
  await first.end('SIGKILL')
  expect(good[0]!.received.length).toBeLessThan(APPROVALS)

  const second = await startProcess(up)
  const admin = new Caller(second.url, owner.token, 'owner')
  const decided = ids.slice(0, DECIDED)
  await admin.send('POST', '/v1/approvals/decisions', { body: { ids: decided, decision: 'approve' } })
  for (const receiver of good) {
    const places = (type: string) => {
      const found = new Map<unknown, number>()
      for (const [place, { body }] of receiver.received.entries())
        if (body.type === type && !found.has(body.data.id)) found.set(body.data.id, place)
      return found
    }
    const hasAll = () =>
      receiver.received.length >= APPROVALS + DECIDED &&
      places('approval.requested').size === APPROVALS &&
      places('approval.decided').size === DECIDED
    await receiver.until(hasAll, 'all of it', WAIT_MS)
    const [requests, decisions] = [places('approval.requested'), places('approval.decided')]
    expect([...requests.keys()].sort()).toEqual([...ids].sort())
    for (const id of decided) expect(decisions.get(id)).toBeGreaterThan(requests.get(id) ?? Number.POSITIVE_INFINITY)
    // What was under way when it was killed has come twice, and no more than that.
    expect(receiver.received.length).toBeLessThanOrEqual(APPROVALS + DECIDED + 4)
    expect(receiver.mostOpen).toBeLessThanOrEqual(4)
  }
  for (const receiver of [...failing, ...hanging, ...redirecting]) expect(receiver.received.length).toBeGreaterThan(0)
  expect(forbidden.requests).toBe(0)
}, 300_000)
