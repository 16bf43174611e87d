import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProcess } from '../support/process.ts'
import { type Answer, type AskBody, Caller, POLICY } from '../support/server.ts'

function workspace() {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-crash-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  writeFileSync(join(cwd, 'policy.yaml'), POLICY)
  const callers = (url: string) => {
    const owner = JSON.parse(readFileSync(join(cwd, '.countersign', 'owner.json'), 'utf8'))
    return { agent: new Caller(url, owner.agentKey, 'agent'), admin: new Caller(url, owner.token, 'owner') }
  }
  return { cwd, callers }
}

test('kill -9 with 100 calls held: all are pending after the restart, can be decided, and the retries get them', async () => {
  const { cwd, callers } = workspace()
  const first = await startProcess({ cwd, args: ['--port', '0'] })
  const before = callers(first.url)
  const lost = Array.from({ length: 100 }, (_, amount) =>
    before.agent.ask('stripe.refund', { amount }).then(
      () => 'answered',
      () => 'cut',
    ),
  )
  const pending = await before.admin.pending(100)
  await first.end('SIGKILL')
  expect(new Set(await Promise.all(lost))).toEqual(new Set(['cut']))

  const second = await startProcess({ cwd, args: ['--port', '0'] })
  const { agent, admin } = callers(second.url)
  const after = await admin.pending(100)
  expect(after.map(({ id }) => id).sort()).toEqual(pending.map(({ id }) => id).sort())

  // Half are decided before their agents come back (claimed by the retry), half after (joined by it).
  const idOf = new Map(after.map(({ id, action }) => [JSON.parse(action.preview).amount as number, id]))
  const amounts = [...idOf.keys()].sort((a, b) => a - b)
  const decide = (half: number[]) => Promise.all(half.map((amount) => admin.decide(idOf.get(amount) ?? '', 'approve')))
  const retry = (half: number[]) => half.map((amount) => agent.ask('stripe.refund', { amount }))
  await decide(amounts.slice(0, 50))
  const claimed = await Promise.all(retry(amounts.slice(0, 50)))
  const joining = retry(amounts.slice(50))
  for (const amount of amounts.slice(50)) await admin.recordThat(idOf.get(amount) ?? '', ({ version }) => version > 1)
  await decide(amounts.slice(50))
  const answers: Answer<AskBody>[] = [...claimed, ...(await Promise.all(joining))]
  expect(answers.map(({ status, body }) => [status, body.approvalId, body.args])).toEqual(
    amounts.map((amount) => [200, idOf.get(amount), { amount }]),
  )

  const { body } = await admin.send<{ items: { id: string }[] }>('GET', '/v1/approvals?limit=200')
  expect(body.items).toHaveLength(100)
  for (const { id } of body.items) {
    const { history } = await admin.record(id)
    expect(history?.map(({ type }) => type)).toEqual(['requested', 'approved', 'claimed'])
  }
  expect(await second.end('SIGTERM')).toBe(0)
})

test('kill -9 right after a decision: the event still goes out, and the retry is let through', async () => {
  const { cwd, callers } = workspace()
  const first = await startProcess({ cwd, args: ['--port', '0'] })
  const before = callers(first.url)
  const ids: string[] = []
  for (let n = 0; n < 20; n++)
    ids.push((await before.agent.ask('kept.x', { n }, { headers: { prefer: 'respond-async' } })).body.approvalId ?? '')
  await before.admin.pending(20)
  // The decisions are on their way while the process dies: some are written, some are published, some neither.
  const decisions = ids.map((id) =>
    before.admin.decide(id, 'approve').then(
      ({ status }) => status,
      () => 'cut',
    ),
  )
  await Promise.race(decisions)
  await first.end('SIGKILL')
  const answered = await Promise.all(decisions)

  const second = await startProcess({ cwd, args: ['--port', '0'] })
  const { agent, admin } = callers(second.url)
  const stream = await admin.stream()
  for (const [n, id] of ids.entries()) {
    const record = await admin.record(id)
    if (answered[n] === 200) expect(record.status).toBe('approved')
    if (record.status === 'pending') await admin.decide(id, 'approve')
    expect((await agent.ask('kept.x', { n })).body).toMatchObject({ effect: 'allow', approvalId: id })
  }
  expect(stream.snapshot.length + ids.length).toBeGreaterThanOrEqual(20)
  expect(await second.end('SIGTERM')).toBe(0)
})

test('a second process on the same data directory is refused with a clear text', async () => {
  const { cwd } = workspace()
  await startProcess({ cwd, args: ['--port', '0'] })
  await expect(startProcess({ cwd, args: ['--port', '0'] })).rejects.toThrow(/\(3\)[\s\S]*in use/)
})
