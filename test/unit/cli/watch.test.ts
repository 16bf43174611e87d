import { EventEmitter, once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { run } from '../../../clients/cli/program.ts'
import type { ApprovalView } from '../../../clients/sdk/index.ts'
import { approvalId, problem, type Reply, refusal, serve, view } from '../sdk/fixture.ts'
import { countersign, createScreen, depsOf, ownerAt, type Scene } from './fixture.ts'

// The watch reads records once a second, and a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000 })
const PATIENT = { timeout: 20_000 }

const alice = { id: 'key_a', name: 'alice', type: 'user', via: 'http' } as const
const decided = (record: ApprovalView, status: ApprovalView['status']): ApprovalView => ({
  ...record,
  status,
  decidedBy: [alice],
  decidedAt: '2029-12-31T23:57:00.000Z',
})

/** A decider whose records tests change; long-polls wake when they do. */
async function decider() {
  const stored = new Map<string, ApprovalView>()
  const changes = new EventEmitter()
  const put = (record: ApprovalView) => {
    stored.set(record.id, record)
    changes.emit('change')
  }
  const decisions: unknown[] = []
  const server = await serve(async ({ method, url, body }, response): Promise<Reply> => {
    const pending = () => [...stored.values()].filter(({ status }) => status === 'pending')
    if (url.pathname === '/v1/approvals') return { body: { items: pending() } }
    if (url.pathname === '/v1/approvals/pending') {
      const excluded = url.searchParams.get('exclude') ?? ''
      const fresh = () => pending().filter(({ id }) => !excluded.includes(id))
      response.on('close', () => changes.emit('change'))
      while (fresh().length === 0 && !response.destroyed) await once(changes, 'change')
      return { body: { items: fresh() } }
    }
    const record = stored.get(url.pathname.split('/')[3] ?? '')
    if (!record) return { status: 404, body: problem('approval_not_found', 404) }
    if (method === 'GET') return { body: record }
    decisions.push(body)
    const after = decided(record, (body as { decision: string }).decision === 'approve' ? 'approved' : 'denied')
    put(after)
    return { body: after }
  })
  return { ...server, put, decisions }
}

/** Starts `approvals watch` and ends it with the test. */
function watching(url: string, args: string[], more: Scene = {}) {
  const stop = new AbortController()
  const scene = { owner: ownerAt(url), interrupted: stop.signal, ...more }
  const screen = createScreen(scene)
  const done = run(['approvals', 'watch', ...args], depsOf(scene, screen.terminal))
  const end = () => {
    stop.abort()
    return done
  }
  onTestFinished(async () => void (await end()))
  return { ...screen, end }
}

test('tells what is asked and what becomes of it, until it is interrupted', async () => {
  const server = await decider()
  server.put(view(1))
  const watch = watching(server.url, [])
  await expect.poll(() => watch.printed().out).toContain(`asked  ${approvalId(1)}  builder`)
  server.put(decided(view(1), 'settled'))
  await expect.poll(() => watch.printed().out, PATIENT).toContain(`approved by alice`)
  expect(await watch.end()).toBe(0)
})

test('tells that time runs out, and who may decide by now, once each', async () => {
  const server = await decider()
  server.put(view(1))
  const watch = watching(server.url, [])
  await expect.poll(() => watch.printed().out).toContain('asked')
  const warned = { ...view(1), version: 2, warnedAt: '2029-12-31T23:59:00.000Z' }
  server.put(warned)
  await expect.poll(() => watch.printed().out, PATIENT).toMatch(new RegExp(`expires in .*  ${approvalId(1)}`))
  const escalated = [{ at: '2029-12-31T23:59:30.000Z', approvers: ['group:managers', '\u001b[2Jeve'], channels: [] }]
  server.put({ ...warned, version: 3, escalated })
  await expect.poll(() => watch.printed().out, PATIENT).toContain('escalated to group:managers, ')
  expect(watch.printed().out).not.toContain('\u001b[2J')
  server.put(decided({ ...warned, version: 4, escalated }, 'denied'))
  await expect.poll(() => watch.printed().out, PATIENT).toContain('denied by alice')
  const lines = watch.printed().out.split('\n')
  expect(lines.filter((line) => line.includes('expires') || line.includes('escalated'))).toHaveLength(2)
})

test('as JSON, one event a line', async () => {
  const server = await decider()
  const watch = watching(server.url, ['--json'])
  server.put(view(1))
  await expect.poll(() => watch.printed().out).not.toBe('')
  server.put(decided(view(1), 'denied'))
  await expect.poll(() => watch.printed().out.split('\n'), PATIENT).toHaveLength(2)
  expect(
    watch
      .printed()
      .out.split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { event: 'requested', approval: { id: approvalId(1), status: 'pending' } },
    { event: 'decided', approval: { id: approvalId(1), status: 'denied' } },
  ])
  expect(watch.printed().err).toBe('')
})

test('on a terminal, keys decide the card that is shown, once', async () => {
  const server = await decider()
  server.put(view(1))
  const watch = watching(server.url, [], { answers: ['too late at night'], width: 100 })
  await expect.poll(() => watch.printed().err).toContain('[y] approve')
  watch.press('x')
  watch.press('y')
  watch.press('y')
  watch.press('n')
  await expect.poll(() => watch.printed().out).toContain('approved by alice')
  expect(server.decisions).toEqual([{ decision: 'approve' }])

  watch.press('n')
  server.put(view(2, { reasonRequired: ['deny'] }))
  await expect.poll(() => watch.printed().out).toContain('build-2')
  watch.press('n')
  await expect.poll(() => watch.printed().out).toContain('denied by alice')
  expect(server.decisions.at(-1)).toEqual({ decision: 'deny', reason: 'too late at night' })

  server.put(view(3))
  server.put(view(4))
  await expect.poll(() => watch.printed().out).toContain('build-3')
  watch.press('s')
  await expect.poll(() => watch.printed().out).toContain('build-4')
  server.put(decided(view(4), 'denied'))
  await expect.poll(() => watch.printed().out, PATIENT).toMatch(/denied by alice.*build-4/)
  watch.press('q')
  expect(server.decisions).toHaveLength(2)
  expect(await watch.end()).toBe(0)
})

test('a server that is away, or a token it does not take, ends it at once', async () => {
  expect((await countersign('approvals watch', { owner: ownerAt('http://127.0.0.1:9') })).exit).toBe(3)
  const server = await serve(() => refusal('unauthenticated', 401))
  expect((await countersign('approvals watch', { owner: ownerAt(server.url) })).exit).toBe(2)
})

test('a token that is revoked while it watches ends it; a server that comes back does not', async () => {
  let answers = 0
  const server = await serve(({ url }): Reply => {
    if (url.pathname === '/v1/approvals') return { body: { items: [] } }
    answers += 1
    return answers === 1 ? refusal('shutting_down', 503, { retryable: true }) : refusal('unauthenticated', 401)
  })
  const result = await countersign('approvals watch', { owner: ownerAt(server.url) })
  expect(result.exit).toBe(2)
  expect(result.err).toContain('Trying again.')
})

test('u takes what an evaluator suggests, and does nothing where nothing is suggested', async () => {
  const server = await decider()
  const screen = watching(server.url, [], { answers: [], width: 100 })
  server.put(view(1))
  await expect.poll(() => screen.printed().err, PATIENT).toContain('[y] approve  [n] deny')
  screen.press('u')
  screen.press('n')
  await expect.poll(() => server.decisions, PATIENT).toEqual([{ decision: 'deny' }])

  server.put(view(2, { suggestion: { by: 'judge', edits: { amount: 4 } } }))
  await expect.poll(() => screen.printed().err, PATIENT).toContain('[u] use what is suggested')
  screen.press('u')
  await expect
    .poll(() => server.decisions, PATIENT)
    .toEqual([{ decision: 'deny' }, { decision: 'approve', edits: { amount: 4 } }])
})
