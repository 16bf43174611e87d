import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { Clock } from '../../../lib/ports/clock.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { loadPolicy } from '../../../lib/runtime/policy-file.ts'
import { PolicyWatch } from '../../../lib/runtime/policy-watch.ts'

const rule = (id: string) => `  - { id: ${id}, match: { tool: "${id}.*" }, action: deny }\n`
const policy = (...ids: string[]) => `version: 1\ndefault: allow\nrules:\n${ids.map(rule).join('')}`

/** Time that stands still until it is told to go on. */
class HandClock implements Clock {
  #now = 0
  #timers: { dueAt: number; callback: () => void }[] = []
  now = () => this.#now
  after(ms: number, callback: () => void): () => void {
    const timer = { dueAt: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer)
    }
  }
  get waiting(): number {
    return this.#timers.length
  }
  pass(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter(({ dueAt }) => dueAt <= end).sort((a, b) => a.dueAt - b.dueAt)[0]
      if (!next) break
      this.#timers = this.#timers.filter((each) => each !== next)
      this.#now = next.dueAt
      next.callback()
    }
    this.#now = end
  }
}

/** A watched file. Every look is due to `pass`: to the poll, or to an event that came in before. */
function watched(text: string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-policy-'))
  const file = join(folder, 'policy.yaml')
  if (text !== undefined) writeFileSync(file, text)
  const lines: Record<string, unknown>[] = []
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const metrics = createMetrics()
  const clock = new HandClock()
  const watch = new PolicyWatch({ loaded: loadPolicy({ file, required: false }), log, metrics, clock })
  onTestFinished(() => {
    watch.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const valuesOf = async (name: string) => (await metrics.registry.getSingleMetric(name)?.get())?.values
  return {
    file,
    watch,
    clock,
    lines,
    metrics,
    rules: () => watch.current.rules.map(({ rule: { id } }) => id),
    outcomes: async () =>
      Object.fromEntries(
        (await valuesOf('countersign_policy_reloads_total'))?.map(({ labels, value }) => [labels.outcome, value]) ?? [],
      ),
    stale: async () => (await valuesOf('countersign_policy_stale'))?.[0]?.value,
    info: async () => (await valuesOf('countersign_policy_info'))?.map(({ labels }) => labels),
  }
}

test('a changed file is in force once it held the same at two looks', async () => {
  const { file, clock, rules, outcomes, info, watch, lines } = watched(policy('one'))
  const before = watch.current.revision
  writeFileSync(file, policy('one', 'two'))
  clock.pass(10_200)
  expect(rules()).toEqual(['one'])
  clock.pass(200)
  expect(rules()).toEqual(['one', 'two'])
  expect(await outcomes()).toEqual({ loaded: 1 })
  expect(await info()).toEqual([{ revision: watch.current.revision, source: 'file' }])
  expect(lines.at(-1)).toMatchObject({ revision: watch.current.revision, before, rules: 2, msg: 'policy loaded' })
})

test('a file that is still being written is not taken, though its first half would be a sound policy', async () => {
  const { file, clock, rules, outcomes } = watched(policy('one'))
  for (const ids of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
    writeFileSync(file, policy(...ids))
    clock.pass(ids.length === 1 ? 10_200 : 200)
    expect(rules()).toEqual(['one'])
  }
  clock.pass(200)
  expect(rules()).toEqual(['a', 'b', 'c'])
  expect(await outcomes()).toEqual({ loaded: 1 })
})

test('a bad file changes nothing; the log names line, column and rule, once; mended, it is loaded', async () => {
  const { file, clock, rules, outcomes, stale, lines, watch } = watched(policy('one'))
  writeFileSync(file, `${policy('one')}  - { id: two, match: { tool: "x" }, action: maybe }\n`)
  clock.pass(60_000)
  expect(rules()).toEqual(['one'])
  expect([await outcomes(), await stale()]).toEqual([{ refused: 1 }, 1])
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ level: 50, file, revision: watch.current.revision, faultCount: 1 })
  expect(lines[0]?.faults).toEqual([
    expect.stringMatching(/policy\.yaml:5:\d+: rules\[1\]\.action: rule "two": this must be one of /),
  ])
  writeFileSync(file, policy('one', 'two'))
  clock.pass(60_000)
  expect([rules(), await outcomes(), await stale()]).toEqual([['one', 'two'], { refused: 1, loaded: 1 }, 0])
})

test('a file that goes away changes nothing; back as it was, it is loaded', async () => {
  const { file, clock, rules, outcomes, stale, lines } = watched(policy('one'))
  renameSync(file, `${file}.old`)
  clock.pass(60_000)
  expect([rules(), await outcomes(), await stale()]).toEqual([['one'], { missing: 1 }, 1])
  expect(lines).toEqual([expect.objectContaining({ level: 50, msg: expect.stringContaining('gone') })])
  renameSync(`${file}.old`, file)
  clock.pass(60_000)
  expect([rules(), await outcomes(), await stale()]).toEqual([['one'], { missing: 1, loaded: 1 }, 0])
})

test('a file that comes to be takes the place of the starter policy', async () => {
  const { file, clock, rules, info, outcomes } = watched(undefined)
  expect(await info()).toEqual([expect.objectContaining({ source: 'starter' })])
  clock.pass(60_000)
  expect(await outcomes()).toEqual({})
  writeFileSync(file, policy('one'))
  clock.pass(60_000)
  expect([rules(), await info()]).toEqual([['one'], [expect.objectContaining({ source: 'file' })]])
})

test('reload takes the file at once, and says so where nothing changed', async () => {
  const { file, watch, rules, outcomes, lines } = watched(policy('one'))
  watch.reload()
  expect([await outcomes(), lines.at(-1)?.msg]).toEqual([{ unchanged: 1 }, 'the policy file has not changed'])
  writeFileSync(file, policy('two'))
  watch.reload()
  expect(rules()).toEqual(['two'])
  expect(await outcomes()).toEqual({ unchanged: 1, loaded: 1 })
})

test.each([
  ['not UTF-8', Buffer.concat([Buffer.from(policy('one')), Buffer.from([0x23, 0xff])]), 'the file is not UTF-8'],
  ['empty', Buffer.from(''), expect.stringContaining('')],
])('a file that is %s is refused', async (_, bytes, message) => {
  const { file, watch, rules, outcomes, lines } = watched(policy('one'))
  writeFileSync(file, bytes)
  watch.reload()
  expect([rules(), await outcomes()]).toEqual([['one'], { refused: 1 }])
  expect(lines[0]?.faults).toEqual([
    typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(/policy\.yaml:1:1: /),
  ])
})

test('after close nothing is looked at', () => {
  const { watch, clock } = watched(policy('one'))
  watch.close()
  expect(clock.waiting).toBe(0)
})
