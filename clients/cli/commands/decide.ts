import { type ApprovalView, type Client, CountersignClientError, type Decision } from '../../sdk/index.ts'
import { approvalTable, decidedText, outcomeWord } from '../approval-text.ts'
import { type ConnectionOptions, connect } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { CliError, type ExitCode, exitOf, explain, usageError } from '../failure.ts'
import { pendingPages } from '../pending-pages.ts'
import { jsonText, printable } from '../printable.ts'
import { confirm } from '../terminal.ts'

export type DecideOptions = ConnectionOptions & {
  json?: boolean
  reason?: string
  edits?: object
  suggested?: boolean
  allPending?: boolean
  yes?: boolean
}

/** What came of one id. */
type Result =
  | { id: string; ok: true; approval: ApprovalView }
  | { id: string; ok: false; error: CountersignClientError }

const AT_ONCE = 8

/** Decides each id for itself. Rejects with CliError when nothing was decided, or something was refused. */
export async function decide(decision: Decision, given: string[], options: DecideOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { reason, suggested } = options
  if (options.allPending ? given.length > 0 : given.length === 0)
    throw usageError('Give approval ids, or --all-pending.')
  const many = options.allPending === true || given.length > 1
  if (many && options.edits) throw usageError('--edits is for one approval.')
  if (many && suggested) throw usageError('--suggested is for one approval.')
  if (options.edits && suggested) throw usageError('Give --edits or --suggested, not both.')
  if (many && !options.yes && !terminal.interactive)
    throw usageError('Deciding several needs --yes where nobody can be asked.')

  const { client } = await connect(options, deps)
  const ids = options.allPending ? await preflightAll(client, deps) : given
  if (ids.length === 0) {
    terminal.err('Nothing is pending.')
    if (options.json) terminal.out('[]')
    return
  }
  if (many && !options.allPending) await preflight(client, ids, deps)
  const verb = decision === 'approve' ? 'Approve' : 'Deny'
  if (many && !options.yes && !(await confirm(terminal, `${verb} ${ids.length === 1 ? 'it' : `these ${ids.length}`}?`)))
    throw new CliError('Nothing was decided.', 1)

  const results = await eachOf(ids, async (id): Promise<Result> => {
    try {
      const edits = suggested ? await suggestionOf(id, client) : options.edits
      const more = { ...(reason === undefined ? {} : { reason }), ...(edits === undefined ? {} : { edits }) }
      return { id, ok: true, approval: await client.approvals.decide(id, decision, more) }
    } catch (error) {
      if (error instanceof CountersignClientError) return { id, ok: false, error }
      throw error
    }
  })
  if (options.json) terminal.out(jsonText(results.map(resultJson), 2))
  // The failure of a single id is the command's own, and said at its end.
  else for (const result of results) if (result.ok || results.length > 1) printResult(decision, result, deps)

  const failed = results.flatMap((result) => (result.ok ? [] : [result.error]))
  if (failed.length === 0) return
  const exits = new Set(failed.map(exitOf))
  const exit: ExitCode = exits.size === 1 ? exitOf(failed[0]) : 1
  if (results.length === 1 && failed[0]) throw new CliError(explain(failed[0]), exit)
  throw new CliError(`${failed.length} of ${results.length} failed.`, exit)
}

/** What an evaluator proposes; rejects with CliError when there is nothing. */
async function suggestionOf(id: string, client: Client): Promise<object> {
  const { suggestion } = await client.approvals.get(id)
  if (!suggestion) throw new CliError(`No evaluator suggests anything for ${id}. Nothing was decided.`, 1)
  return suggestion.edits
}

/** Shows everything pending and returns the ids: exactly what was shown is decided. */
async function preflightAll(client: Client, deps: Deps): Promise<string[]> {
  const items: ApprovalView[] = []
  for await (const page of pendingPages(client)) items.push(...page)
  if (items.length > 0) showList(items, deps)
  return items.map(({ id }) => id)
}

/** Shows what the ids stand for. An id that cannot be shown gets its answer when it is decided. */
async function preflight(client: Client, ids: readonly string[], deps: Deps): Promise<void> {
  const found = await eachOf(ids, (id) =>
    client.approvals.get(id).catch((error: unknown) => {
      if (error instanceof CountersignClientError && error.code === 'approval_not_found') return undefined
      throw error
    }),
  )
  const shown = found.flatMap((approval) => approval ?? [])
  if (shown.length > 0) showList(shown, deps)
  for (const [at, id] of ids.entries()) if (!found[at]) deps.terminal.err(`${id}  no such approval`)
}

function showList(items: readonly ApprovalView[], { terminal, now }: Deps): void {
  const style = { colors: terminal.colors, now: now(), width: terminal.width() }
  for (const line of approvalTable(items, style)) terminal.err(line)
}

function printResult(decision: Decision, result: Result, { terminal, now }: Deps): void {
  const { green, red, yellow, dim } = terminal.colors
  if (!result.ok) {
    terminal.out(`${red('refused')}  ${result.id}  ${printable(result.error.message)}`)
    return
  }
  const { approval } = result
  const summary = dim(printable(approval.action.summary))
  if (approval.status === 'pending') {
    const votes = approval.votes.filter((vote) => vote.decision === decision).length
    terminal.out(`${yellow('voted')}  ${result.id}  ${votes} of ${approval.threshold[decision]}  ${summary}`)
    return
  }
  const paint = outcomeWord(approval) === 'approved' ? green : red
  terminal.out(`${paint(decidedText(approval, { now: now() }))}  ${result.id}  ${summary}`)
}

const resultJson = (result: Result) =>
  result.ok
    ? result
    : {
        id: result.id,
        ok: false,
        problem: result.error.problem ?? { code: result.error.code, detail: result.error.message },
      }

/** The results in order, at most a few under way at once. */
async function eachOf<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length)
  const queue = items.entries()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const [at, item] of queue) results[at] = await run(item)
    }),
  )
  return results
}
