import { realpathSync } from 'node:fs'
import type { CompiledPolicy } from '../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../lib/core/policy/evaluate.ts'
import { PolicySource } from '../../../lib/core/policy/source.ts'
import type { ApprovalView, Client } from '../../sdk/index.ts'
import { type ConnectionOptions, connect } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import { jsonText, printable } from '../printable.ts'
import { readAction } from './action-file.ts'
import {
  CHANGE_WORDS,
  CHANGES,
  type Change,
  changedTerms,
  changeOf,
  type Stand,
  standOfRecord,
  standOfVerdict,
} from './comparison.ts'
import { faultText, openPolicy, readText } from './policy-text.ts'
import { type Fidelity, notRecorded, recordedAction } from './recorded.ts'

export type ReplayOptions = ConnectionOptions & {
  /** Milliseconds. */
  since?: number
  /** JSON lines. */
  actions?: string
  against?: string
  json?: boolean
}

/** An action, what was done with it, and what the policy says of it. */
interface Replayed {
  /** Approval id, or line of the file. */
  id: string
  what: string
  before: Stand
  after: Stand
  fidelity: Fidelity
}

/**
 * Judges recorded actions by another policy and says what would change. Rejects with CliError 1 when anything would,
 * 2 when policy or actions cannot be read.
 */
export async function replay(file: string, options: ReplayOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { name, compiled } = openPolicy(file, deps)
  const tally = new Tally()
  const differing: object[] = []
  for await (const replayed of options.actions === undefined
    ? ofRecord(compiled, options, deps)
    : ofFile(file, compiled, options.actions, options, deps)) {
    const change = tally.add(replayed)
    if (change === undefined || replayed === 'not judged') continue
    if (options.json) differing.push(jsonOf(replayed, change))
    else for (const line of linesOf(replayed, change)) terminal.out(line)
  }

  const unknown = options.actions === undefined ? notRecorded(compiled.policy) : []
  if (options.json)
    terminal.out(
      jsonText({ ...tally.json(), notRecorded: unknown, revision: compiled.revision, differences: differing }, 2),
    )
  else for (const line of tally.lines()) terminal.out(line)
  if (unknown.length > 0)
    terminal.err(`${name} looks at ${unknown.join(' and ')}, which no record has: there it was judged without.`)
  if (tally.changed > 0) throw new CliError(`${tally.changed} of ${tally.actions} would change.`, 1)
}

async function* ofRecord(
  policy: CompiledPolicy,
  options: ReplayOptions,
  deps: Deps,
): AsyncGenerator<Replayed | 'not judged'> {
  if (options.against !== undefined) throw usageError('--against goes with --actions: records say what was asked.')
  const { client } = await connect(options, deps)
  const since = options.since === undefined ? Number.NEGATIVE_INFINITY : deps.now() - options.since
  for await (const record of records(client, since)) {
    const recorded = recordedAction(record)
    if (!recorded) {
      yield 'not judged'
      continue
    }
    yield {
      id: record.id,
      what: record.action.summary,
      before: standOfRecord(record),
      after: standOfVerdict(evaluate(policy, recorded.action)),
      fidelity: recorded.fidelity,
    }
  }
}

const PAGE = 200

/** Newest first, down to those that were asked at `since`. */
async function* records(client: Client, since: number): AsyncGenerator<ApprovalView> {
  let after: string | undefined
  do {
    const page = await client.approvals.list({ limit: PAGE, ...(after === undefined ? {} : { after }) })
    for (const record of page.items) {
      if (Date.parse(record.requestedAt) < since) return
      yield record
    }
    after = page.next ?? undefined
  } while (after !== undefined)
}

/** Each line is judged by both policies; nothing in it is masked. */
function* ofFile(
  newFile: string,
  policy: CompiledPolicy,
  file: string,
  options: ReplayOptions,
  deps: Deps,
): Generator<Replayed> {
  const old = openPolicy(options.against, deps)
  if (isSameFile(newFile, old.name))
    throw usageError(`${printable(newFile)} would be compared with itself: name the policy in force with --against.`)
  for (const [index, line] of readText(file).split('\n').entries()) {
    if (line.trim() === '') continue
    const source = new PolicySource(line)
    const root = source.root()
    const action = root && readAction(root)
    if (!action || source.errors.length > 0)
      throw new CliError(source.errors.map((error) => faultText(file, { ...error, line: index + 1 })).join('\n'), 2)
    yield {
      id: `${file}:${index + 1}`,
      what: line.trim(),
      before: standOfVerdict(evaluate(old.compiled, action)),
      after: standOfVerdict(evaluate(policy, action)),
      fidelity: { masked: false, truncated: false },
    }
  }
}

function isSameFile(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b)
  } catch {
    return false
  }
}

/** What came of all actions. */
class Tally {
  actions = 0
  changed = 0
  readonly #changes = new Map<Change, number>()
  readonly #byRule = new Map<string, { change: Change; from: string[]; to: string[]; actions: number }>()
  #unchanged = 0
  #unchangedInPart = 0
  #notJudged = 0

  add(replayed: Replayed | 'not judged'): Change | undefined {
    this.actions += 1
    if (replayed === 'not judged') {
      this.#notJudged += 1
      return undefined
    }
    const { before, after, fidelity } = replayed
    const change = changeOf(before, after)
    if (change === undefined) {
      this.#unchanged += 1
      if (fidelity.masked || fidelity.truncated) this.#unchangedInPart += 1
      return undefined
    }
    this.changed += 1
    this.#changes.set(change, (this.#changes.get(change) ?? 0) + 1)
    const key = JSON.stringify([change, before.rules, after.rules])
    const row = this.#byRule.get(key) ?? { change, from: before.rules, to: after.rules, actions: 0 }
    row.actions += 1
    this.#byRule.set(key, row)
    return change
  }

  get #rows() {
    return [...this.#byRule.values()].sort((a, b) => b.actions - a.actions)
  }

  json() {
    return {
      actions: this.actions,
      unchanged: this.#unchanged,
      unchangedOnMaskedOrCut: this.#unchangedInPart,
      notJudged: this.#notJudged,
      ...Object.fromEntries(CHANGES.map((change) => [change, this.#changes.get(change) ?? 0])),
      byRule: this.#rows,
    }
  }

  lines(): string[] {
    const inPart = this.#unchangedInPart === 0 ? '' : ` (${this.#unchangedInPart} judged on masked or cut values)`
    return [
      `${this.actions} ${this.actions === 1 ? 'action' : 'actions'}`,
      `  ${this.#unchanged} unchanged${inPart}`,
      ...CHANGES.flatMap((change) => {
        const count = this.#changes.get(change) ?? 0
        if (count === 0) return []
        const rows = this.#rows.filter((row) => row.change === change)
        return [
          `  ${count} ${CHANGE_WORDS[change]}`,
          ...rows.map(
            ({ from, to, actions }) => `    ${actions}  ${printable(`${from.join(', ')} → ${to.join(', ')}`)}`,
          ),
        ]
      }),
      ...(this.#notJudged === 0 ? [] : [`  ${this.#notJudged} not judged: the record does not have enough of them`]),
    ]
  }
}

function jsonOf({ id, what, before, after, fidelity }: Replayed, change: Change) {
  const side = ({ effect, rules }: Stand) => ({ effect, rules })
  return {
    id,
    action: what,
    change,
    before: side(before),
    after: side(after),
    ...(change === 'termsChanged' ? { terms: changedTerms(before, after) } : {}),
    ...fidelity,
  }
}

function linesOf({ id, what, before, after, fidelity }: Replayed, change: Change): string[] {
  const { masked, truncated } = fidelity
  const on = [...(masked ? ['masked'] : []), ...(truncated ? ['cut'] : [])].join(' and ')
  return [
    printable(`${id}  ${what}`),
    printable(`  ${change === 'termsChanged' ? CHANGE_WORDS[change] : wayOf(before, after)}`),
    ...(change === 'termsChanged' ? changedTerms(before, after).map((text) => printable(`    ${text}`)) : []),
    ...(on === '' ? [] : [`  judged on ${on} values: the real call may be judged otherwise`]),
  ]
}

const wayOf = (before: Stand, after: Stand): string =>
  `${before.effect} by ${before.rules.join(', ')} → ${after.effect} by ${after.rules.join(', ')}`
