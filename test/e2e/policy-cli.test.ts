import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runCountersign } from '../support/process.ts'
import { scenario, type World } from '../support/server.ts'
import { countersign } from '../unit/cli/fixture.ts'

const POLICY = `version: 1
default: allow
settings: { timeout: 1m }
rules:
  - { id: refunds, match: { tool: stripe.refund }, action: require_approval }
  - { id: never, match: { tool: "never.*" }, action: deny }
`

/** A folder with these files, gone with the test. Returns the path of each by its name. */
function files<N extends string>(texts: Record<N, string>): Record<N, string> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-policy-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const paths: Partial<Record<N, string>> = {}
  for (const name of Object.keys(texts) as N[]) {
    paths[name] = join(folder, name)
    writeFileSync(paths[name], texts[name])
  }
  return paths as Record<N, string>
}

describe('check', () => {
  test('the real command: sound is 0, a fault is 1 with its place, no file is 2', async () => {
    const { good, bad } = files({
      good: POLICY,
      bad: `${POLICY}  - { id: never, match: { tool: x }, action: forbid }\n`,
    })
    const run = async (...args: string[]) => {
      const { exited, stdout, stderr } = runCountersign(['policy', 'check', ...args], { cwd: tmpdir() })
      return { exit: await exited, out: stdout(), err: stderr() }
    }
    expect(await run(good)).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/: sound, 2 rules, revision [0-9a-f]{16}\n$/),
    })
    const faulty = await run(bad)
    expect(faulty).toMatchObject({ exit: 1, err: `2 faults in ${bad}.\n` })
    expect(faulty.out).toContain(`${bad}:7:7: rules[2].id: rule "never": another rule has this id\n`)
    expect(faulty.out).toMatch(/bad:7:\d+: rules\[2\]\.action: rule "never": this must be one of allow, /)
    expect(await run(`${good}.away`)).toMatchObject({ exit: 2, err: `${good}.away does not exist.\n` })
  })

  test('a rule that never has a say is a warning, and no fault; JSON has everything', async () => {
    const { policy } = files({ policy: `${POLICY}  - { id: idle, match: { tool: never.again }, action: allow }\n` })
    const { exit, out } = await countersign(['policy', 'check', policy])
    expect(exit).toBe(0)
    expect(out).toContain(`${policy}:7:5: rules[2]: warning: rule "idle": it never has a say: deny of the rule "never"`)
    const json = await countersign(['policy', 'check', policy, '--json'])
    expect(JSON.parse(json.out)).toMatchObject({ ok: true, rules: 3, errors: [], warnings: [{ line: 7, column: 5 }] })
  })
})

describe('test', () => {
  const cases = `- { name: asks, action: { tool: stripe.refund }, expect: require_approval, rule: refunds }
- { name: wrong, action: { tool: never.this }, expect: allow }
`
  test('a difference is 1, with what was said instead; faulty cases or policy are 2', async () => {
    const paths = files({ policy: POLICY, cases, right: cases.split('\n')[0] ?? '', bad: '- { name: a }\n' })
    const wrong = await countersign(['policy', 'test', paths.policy, '--cases', paths.cases])
    expect(wrong).toMatchObject({ exit: 1, err: '1 of 2 cases differ.' })
    expect(wrong.out).toMatch(/^wrong\n {2}expected {2}allow\n {2}got {7}deny by never\n/)
    const right = await countersign(['policy', 'test', paths.policy, '--cases', paths.right])
    expect(right).toMatchObject({ exit: 0, out: '1 case, all as expected' })
    const bad = await countersign(['policy', 'test', paths.policy, '--cases', paths.bad])
    expect(bad.exit).toBe(2)
    expect(bad.err).toContain(`${paths.bad}:1:3: [0]: case "a": "action" is missing`)
    expect((await countersign(['policy', 'test', paths.bad, '--cases', paths.right])).exit).toBe(2)
    const json = await countersign(['policy', 'test', paths.policy, '--cases', paths.cases, '--json'])
    expect(JSON.parse(json.out)).toMatchObject({
      ok: false,
      cases: 2,
      differing: [{ name: 'wrong', expected: { effect: 'allow' }, actual: { effect: 'deny', rules: ['never'] } }],
    })
  })
})

describe('explain', () => {
  test('the verdict and its terms, from options or from a file', async () => {
    const { policy, action } = files({ policy: POLICY, action: '{ tool: never.this }' })
    const asked = await countersign(['policy', 'explain', policy, '--tool', 'stripe.refund', '--args', '{"amount":5}'])
    expect(asked).toMatchObject({ exit: 0, err: '' })
    expect(asked.out).toMatch(/^verdict {2}require_approval\nrule {5}refunds {2}\(revision [0-9a-f]{16}\)\n/)
    expect(asked.out).toContain('within 1m')
    const denied = await countersign(['policy', 'explain', policy, '--action', action, '--json'])
    expect(JSON.parse(denied.out)).toMatchObject({
      verdict: { effect: 'deny' },
      rules: [{ ruleId: 'never', part: 'spoke' }],
    })
  })

  test.each([
    [[], 'Give --tool'],
    [['--tool', 'a', '--action', 'b'], 'Give --tool'],
    [['--tool', ''], 'this must be text'],
  ])('%j is refused', async (args, message) => {
    const { policy } = files({ policy: POLICY })
    const { exit, err } = await countersign(['policy', 'explain', policy, ...args])
    expect([exit, err]).toEqual([2, expect.stringContaining(message)])
  })
})

describe('replay', () => {
  const options = { policy: POLICY }
  const sceneOf = ({ url, admin }: World) => ({ env: { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: admin.secret } })
  const async = { headers: { prefer: 'respond-async' } }

  scenario(
    'the records of a server: what would no longer be asked, be denied, or have other terms; on masked values it says so',
    async (world) => {
      const { agent } = world
      const scene = sceneOf(world)
      await agent.ask('stripe.refund', { amount: 1 }, async)
      await agent.ask('stripe.refund', { amount: 5000, api_key: 'sk_live_0123456789abcdef' }, async)
      await agent.ask('stripe.refund', { amount: 700, note: 'x'.repeat(20_000) }, async)
      await agent.ask('stripe.refund', { amount: 60, password: 'hunter2hunter2' }, async)
      await world.admin.pending(4)
      const { same, next } = files({
        same: POLICY,
        next: `version: 1
default: allow
settings: { timeout: 1m }
rules:
  - { id: middle, match: { tool: stripe.refund }, when: [{ path: args.amount, gt: 50 }], action: require_approval }
  - { id: large, match: { tool: stripe.refund }, when: [{ path: args.amount, gt: 500 }], action: require_approval, approval: { timeout: 30s } }
  - { id: huge, match: { tool: stripe.refund }, when: [{ path: args.amount, gt: 1000 }], action: deny }
`,
      })
      const unchanged = await countersign(['policy', 'replay', same], scene)
      expect(unchanged).toMatchObject({ exit: 0, err: '' })
      expect(unchanged.out).toBe('4 actions\n  4 unchanged (3 judged on masked or cut values)')

      const { exit, out, err } = await countersign(['policy', 'replay', next], scene)
      expect([exit, err]).toEqual([1, '3 of 4 would change.'])
      expect(out).toContain('require_approval by refunds → allow by default')
      expect(out).toContain('require_approval by refunds → deny by huge\n  judged on masked values')
      expect(out).toContain('would have other terms\n    timeout 1m → 30s\n  judged on cut values')
      expect(out).not.toContain('sk_live')
      const json = JSON.parse((await countersign(['policy', 'replay', next, '--json'], scene)).out)
      expect(json).toMatchObject({
        actions: 4,
        unchanged: 1,
        unchangedOnMaskedOrCut: 1,
        notJudged: 0,
        noLongerAsked: 1,
        nowDenied: 1,
        termsChanged: 1,
        nowAsked: 0,
        notRecorded: [],
      })
      expect(json.byRule).toContainEqual({ change: 'nowDenied', from: ['refunds'], to: ['huge'], actions: 1 })
      expect(json.differences).toContainEqual(
        expect.objectContaining({ change: 'nowDenied', masked: true, truncated: false }),
      )
    },
    options,
  )

  scenario(
    'every page is read, and none past --since',
    async (world) => {
      for (let amount = 0; amount < 250; amount++) await world.agent.ask('stripe.refund', { amount }, async)
      await world.admin.pending(250)
      const scene = sceneOf(world)
      const { next } = files({ next: 'version: 1\ndefault: allow\n' })
      const counted = async (...args: string[]) =>
        JSON.parse((await countersign(['policy', 'replay', next, '--json', ...args], scene)).out).noLongerAsked
      expect(await counted()).toBe(250)
      // The clock of this scene stands in the future: nothing was asked in its last day.
      expect(await counted('--since', '1d')).toBe(0)
    },
    { ...options, config: 'gate: { maxHoldsPerAgent: 1000 }\n' },
  )

  test('actions that were kept are judged by both policies', async () => {
    const paths = files({
      old: POLICY,
      next: POLICY.replace('default: allow', 'default: deny'),
      actions: '{"tool":"stripe.refund","args":{}}\n\n{"tool":"ls"}\n',
      bad: '{"tool":"ls"}\n{"tool":5}\n',
    })
    const base = ['policy', 'replay', paths.next, '--against', paths.old, '--actions']
    const { exit, out, err } = await countersign([...base, paths.actions])
    expect([exit, err]).toEqual([1, '1 of 2 would change.'])
    expect(out).toContain(`${paths.actions}:3  {"tool":"ls"}\n  allow by default → deny by default`)
    const bad = await countersign([...base, paths.bad])
    expect(bad.exit).toBe(2)
    expect(bad.err).toContain(`${paths.bad}:2:2: tool: this must be text`)
    const itself = await countersign([
      'policy',
      'replay',
      paths.old,
      '--against',
      paths.old,
      '--actions',
      paths.actions,
    ])
    expect(itself).toMatchObject({ exit: 2, err: expect.stringContaining('compared with itself') })
    const alone = await countersign(['policy', 'replay', paths.next, '--against', paths.old])
    expect(alone).toMatchObject({ exit: 2, err: expect.stringContaining('--against goes with --actions') })
  })
})
