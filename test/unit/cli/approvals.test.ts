import { expect, test } from 'vitest'
import type { ApprovalView } from '../../../clients/sdk/index.ts'
import { approvalId, problem, type Reply, serve, view } from '../sdk/fixture.ts'
import { countersign, ownerAt } from './fixture.ts'

const alice = { id: 'key_a', name: 'alice', type: 'user', via: 'cli' } as const

/** A decider over fixed records: decides pending ones, refuses the rest. */
async function decider(...records: ApprovalView[]) {
  const stored = new Map(records.map((record) => [record.id, record]))
  const server = await serve(({ method, url, body }): Reply => {
    const id = url.pathname.split('/')[3] ?? ''
    const record = stored.get(id)
    if (url.pathname === '/v1/approvals') {
      const status = url.searchParams.get('status')
      return { body: { items: [...stored.values()].filter((each) => status === null || each.status === status) } }
    }
    if (url.pathname === '/v1/approvals/expire') return { body: { expired: 3 } }
    if (!record) return { status: 404, body: problem('approval_not_found', 404, { detail: 'No such approval.' }) }
    if (method === 'GET') return { body: record }
    if (record.status !== 'pending')
      return { status: 409, body: problem('already_decided', 409, { detail: 'It was denied already by bob.' }) }
    const { decision, reason } = body as { decision: 'approve' | 'deny'; reason?: string }
    const by = { by: alice, decision, at: '2029-12-31T23:57:00.000Z' }
    const enough = record.threshold[decision] === 1
    const next: ApprovalView = {
      ...record,
      votes: [by],
      ...(reason === undefined ? {} : { reason }),
      ...(enough
        ? { status: decision === 'approve' ? 'approved' : 'denied', decidedBy: [alice], decidedAt: by.at }
        : {}),
    }
    stored.set(id, next)
    return { body: next }
  })
  const decisions = () => server.received.filter(({ method }) => method === 'POST').map(({ body }) => body)
  return { ...server, scene: { owner: ownerAt(server.url) }, decisions }
}

test('the list is a table that fits, newest first, with what agents wrote made inert', async () => {
  const nasty = view(2, { agent: { id: 'k', name: 'e\u202evil\n' } })
  nasty.action.summary = `\u001b[2J${'long '.repeat(40)}`
  const { scene } = await decider(view(1), nasty)
  const { out, exit } = await countersign('approvals list', { ...scene, width: 100 })
  expect(exit).toBe(0)
  const lines = out.split('\n')
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatch(/^ID +STATUS +AGE +EXPIRES +AGENT +RISK +SUMMARY$/)
  expect(lines[1]).toContain(`${approvalId(1)}  pending  2m   in 3m    builder`)
  expect(lines[2]).toContain('e\\u{202e}vil⏎')
  expect(lines[2]).toContain('␛[2Jlong')
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
})

test('the list as JSON is one document with every page', async () => {
  const server = await serve(({ url }) => {
    const page = Number(url.searchParams.get('after') ?? 0)
    return { body: { items: [view(page)], next: page < 2 ? String(page + 1) : null } }
  })
  const scene = { owner: ownerAt(server.url) }
  const { out } = await countersign('approvals list --status all --json --agent b --risk high', scene)
  expect(JSON.parse(out).items.map(({ id }: ApprovalView) => id)).toEqual([0, 1, 2].map(approvalId))
  expect(server.received[0]?.url.search).toBe('?agent=b&risk=high&limit=50')
  const limited = await countersign('approvals list --limit 2 --json', scene)
  expect(JSON.parse(limited.out)).toMatchObject({ items: [{}, {}], next: '2' })
  expect(server.received.at(-1)?.url.searchParams.get('limit')).toBe('1')
})

test('an empty list says so, and prints nothing on stdout', async () => {
  const { scene } = await decider()
  expect(await countersign('approvals list', scene)).toMatchObject({ exit: 0, out: '', err: 'Nothing is pending.' })
})

test('show has the arguments, why it was asked, votes and history', async () => {
  const entry = { seq: 1, at: '2029-12-31T23:55:00.000Z', by: alice, prev: '', hash: 'h' }
  const record = view(1, {
    votes: [{ by: alice, decision: 'approve', reason: 'fine\nby me', at: '2029-12-31T23:56:00.000Z' }],
    threshold: { approve: 2, deny: 1 },
    history: [
      { ...entry, type: 'requested', requestHash: 'r' },
      { ...entry, seq: 2, type: 'voted', decision: 'approve', reason: 'fine', meets: [] },
    ],
  })
  const { scene } = await decider(record)
  const { out } = await countersign(`approvals show ${record.id}`, scene)
  for (const text of [
    '"command": "rm -rf ./build"',
    'deletes recursively',
    'destructive',
    '2 to approve, 1 to deny',
    'approve  alice 1m ago via cli  “fine⏎by me”',
    'requested',
    'in 3m',
  ])
    expect(out).toContain(text)
  const json = await countersign(`approvals show ${record.id} --json`, scene)
  expect(JSON.parse(json.out)).toEqual(record)
})

test('one id is decided without a question', async () => {
  const { scene, decisions } = await decider(view(1))
  const result = await countersign(
    ['approvals', 'approve', approvalId(1), '--reason', 'ok', '--edits', '{"n":1}'],
    scene,
  )
  expect(result.exit).toBe(0)
  expect(result.out).toContain(`approved by alice 0s ago “ok”`.replace(' “', '  “'))
  expect(decisions()).toEqual([{ decision: 'approve', reason: 'ok', edits: { n: 1 } }])
})

test('a vote that is not enough is told as a vote', async () => {
  const { scene } = await decider(view(1, { threshold: { approve: 2, deny: 1 } }))
  const { out, exit } = await countersign(`approvals approve ${approvalId(1)}`, scene)
  expect(exit).toBe(0)
  expect(out).toMatch(/^voted .* 1 of 2/)
})

test('a refusal is exit 1 and said once', async () => {
  const { scene } = await decider(view(1, { status: 'denied' }))
  const result = await countersign(`approvals approve ${approvalId(1)}`, scene)
  expect(result).toMatchObject({ exit: 1, out: '', err: 'It was denied already by bob. (already_decided)' })
})

test('several are shown first and need a yes', async () => {
  const { scene, decisions } = await decider(view(1), view(2))
  const line = `approvals deny ${approvalId(1)} ${approvalId(2)}`
  const mute = await countersign(line, scene)
  expect(mute).toMatchObject({ exit: 2 })
  expect(mute.err).toContain('--yes')
  for (const answer of ['', 'n', 'yep']) {
    const declined = await countersign(line, { ...scene, answers: [answer] })
    expect(declined).toMatchObject({ exit: 1, asked: ['Deny these 2? [y/N] '] })
    expect(declined.err).toContain('rm -rf ./build-2')
    expect(declined.err).toContain('Nothing was decided.')
  }
  expect(decisions()).toEqual([])
  expect(await countersign(line, { ...scene, answers: ['y'] })).toMatchObject({ exit: 0 })
  expect(decisions()).toHaveLength(2)
})

test('each of several has its own result', async () => {
  const { scene } = await decider(view(1), view(2, { status: 'denied' }))
  const ids = [1, 2, 3].map(approvalId)
  const result = await countersign(['approvals', 'approve', ...ids, '--yes', '--json'], scene)
  expect(result.exit).toBe(1)
  expect(JSON.parse(result.out)).toMatchObject([
    { id: ids[0], ok: true, approval: { status: 'approved' } },
    { id: ids[1], ok: false, problem: { code: 'already_decided' } },
    { id: ids[2], ok: false, problem: { code: 'approval_not_found' } },
  ])
  expect(result.err).toContain(`${ids[2]}  no such approval`)
  expect(result.err).toContain('2 of 3 failed.')
})

test('--all-pending decides exactly what it showed', async () => {
  const { scene, decisions } = await decider(
    ...Array.from({ length: 20 }, (_, at) => view(at)),
    view(99, { status: 'denied' }),
  )
  const result = await countersign('approvals approve --all-pending --yes', scene)
  expect(result.exit).toBe(0)
  expect(result.out.split('\n')).toHaveLength(20)
  expect(decisions()).toHaveLength(20)
  expect(await countersign('approvals approve --all-pending --yes', scene)).toMatchObject({
    exit: 0,
    err: 'Nothing is pending.',
  })
})

test('what does not go together is refused before anything is sent', async () => {
  const { scene, received } = await decider(view(1))
  for (const line of [
    'approvals approve',
    `approvals approve --all-pending ${approvalId(1)} --yes`,
    'approvals approve --all-pending --yes --edits {}',
    `approvals deny ${approvalId(1)} --edits {}`,
    `approvals approve ${approvalId(1)} --edits [1]`,
  ])
    expect((await countersign(line, scene)).exit).toBe(2)
  expect(received).toEqual([])
})

test('expire says how many', async () => {
  const { scene } = await decider()
  expect(await countersign('approvals expire --all-stale', scene)).toMatchObject({ exit: 0, out: '3 expired' })
  expect((await countersign('approvals expire --all-stale --json', scene)).out).toBe('{"expired":3}')
})

const noticed: Partial<ApprovalView> = {
  findings: [
    { detector: 'destructive', severity: 'critical', message: 'Deletes \u001b[2J folders.', path: 'args.command' },
    { detector: 'evaluator/judge', severity: 'medium', message: 'Suggests other arguments.' },
  ],
  suggestion: { by: 'judge', edits: { command: 'rm -rf ./build/tmp' }, reason: 'less\u202e' },
}

test('show tells what was noticed and what is suggested, made inert', async () => {
  const { scene } = await decider(view(1, noticed))
  const { out, err } = await countersign(`approvals show ${approvalId(1)}`, scene)
  expect(out).toContain('critical  destructive  Deletes ␛[2J folders.  args.command')
  expect(out).toContain('medium  evaluator/judge  Suggests other arguments.')
  expect(out).toContain('suggested by judge, as changes to the arguments  “less\\u{202e}”')
  expect(out).toContain('"command": "rm -rf ./build/tmp"')
  expect(err).toContain(`approvals approve ${approvalId(1)} --suggested`)
})

test('--suggested approves with what an evaluator suggests', async () => {
  const { scene, decisions } = await decider(view(1, noticed))
  const { exit } = await countersign(`approvals approve ${approvalId(1)} --suggested --reason ok`, scene)
  expect(exit).toBe(0)
  expect(decisions()).toEqual([{ decision: 'approve', reason: 'ok', edits: { command: 'rm -rf ./build/tmp' } }])
})

test('--suggested decides nothing where nothing is suggested, or something else is said too', async () => {
  const { scene, decisions } = await decider(view(1), view(2, noticed))
  const none = await countersign(`approvals approve ${approvalId(1)} --suggested`, scene)
  expect(none).toMatchObject({ exit: 1, err: expect.stringContaining('No evaluator suggests anything') })
  for (const more of [
    ['--edits', '{}'],
    [approvalId(1), '--yes'],
  ]) {
    const line = ['approvals', 'approve', approvalId(2), '--suggested', ...more]
    expect(await countersign(line, scene)).toMatchObject({ exit: 2 })
  }
  expect(decisions()).toEqual([])
})
