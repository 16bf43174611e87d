import type { ApprovalView, Client, Decision } from '../../sdk/index.ts'
import { approvalCard, decidedText, escalatedTo, outcomeWord } from '../approval-text.ts'
import { type ConnectionOptions, connect } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { explain } from '../failure.ts'
import { pause } from '../pause.ts'
import { pendingPages } from '../pending-pages.ts'
import { jsonText, printable } from '../printable.ts'
import { fromNow } from '../time-span.ts'

export type WatchOptions = ConnectionOptions & { json?: boolean }

const LOOK_MS = 500

/** Runs until it is interrupted, or the server no longer takes the token. */
export async function watch(options: WatchOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { client, url } = await connect(options, deps)
  // The first question says at once whether the server is there and takes the token.
  await client.approvals.list({ status: 'pending', limit: 1 })

  const open = new Map<string, ApprovalView>()
  const keyed = terminal.interactive && terminal.width() !== undefined && !options.json
  const stopped = new AbortController()
  const interrupted = deps.interrupted()
  interrupted.addEventListener('abort', () => stopped.abort(), { once: true })
  if (interrupted.aborted) stopped.abort()

  const deck = keyed ? new Deck(client, open, deps, () => stopped.abort()) : undefined
  const show = options.json ? printJson(deps) : printLine(deps)
  if (!options.json) terminal.err(`Watching ${url}. ${keyed ? 'q' : 'Ctrl-C'} ends it.`)

  let away = false
  const noteAway = (error: unknown) => {
    if (!away) terminal.err(`${explain(error).split('\n')[0]} Trying again.`)
    away = true
  }
  try {
    const ended = new Promise<never>((_, reject) => {
      client.approvals.onPending(
        (approval) => {
          away = false
          open.set(approval.id, approval)
          if (deck) deck.deal()
          else show('requested', approval)
        },
        {
          signal: stopped.signal,
          onError: (error) => (isPassing(error) ? noteAway(error) : reject(error)),
        },
      )
    })
    const outcomes = async () => {
      while (!stopped.signal.aborted) {
        try {
          const { changed, decided } = await look(client, open)
          for (const approval of changed) {
            const event = reminderOf(open.get(approval.id), approval)
            open.set(approval.id, approval)
            if (event) show(event, approval)
          }
          for (const approval of decided) {
            open.delete(approval.id)
            if (deck) deck.decided(approval)
            else show('decided', approval)
          }
        } catch (error) {
          if (!isPassing(error)) throw error
          noteAway(error)
        }
        await pause(LOOK_MS, stopped.signal)
      }
    }
    await Promise.race([ended, outcomes()])
  } finally {
    stopped.abort()
    deck?.close()
  }
}

const isPassing = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === true

/** The open ones as they stand now: those that pend and were written since, and those that pend no longer. */
async function look(client: Client, open: ReadonlyMap<string, ApprovalView>) {
  const changed: ApprovalView[] = []
  const decided: ApprovalView[] = []
  if (open.size === 0) return { changed, decided }
  const gone = new Set(open.keys())
  for await (const page of pendingPages(client)) {
    for (const approval of page)
      if (gone.delete(approval.id) && approval.version > (open.get(approval.id)?.version ?? 0)) changed.push(approval)
    if (gone.size === 0) break
  }
  for (const id of gone) {
    const approval = await client.approvals.get(id)
    if (approval.status !== 'pending') decided.push(approval)
  }
  return { changed, decided }
}

/** What people are reminded of while nobody decides, or undefined: votes and holders change a record too. */
function reminderOf(before: ApprovalView | undefined, after: ApprovalView): 'expiring' | 'escalated' | undefined {
  if ((after.escalated?.length ?? 0) > (before?.escalated?.length ?? 0)) return 'escalated'
  return after.warnedAt !== undefined && after.warnedAt !== before?.warnedAt ? 'expiring' : undefined
}

type Show = (event: 'requested' | 'decided' | 'expiring' | 'escalated', approval: ApprovalView) => void

const printJson =
  ({ terminal }: Deps): Show =>
  (event, approval) =>
    terminal.out(jsonText({ event, approval }))

const printLine =
  ({ terminal, now }: Deps): Show =>
  (event, approval) => {
    const { yellow } = terminal.colors
    const summary = printable(approval.action.summary)
    if (event === 'decided') return terminal.out(outcomeLine(approval, terminal.colors, now()))
    if (event === 'expiring')
      return terminal.out(`${yellow('expires')} ${fromNow(approval.expiresAt, now())}  ${approval.id}  ${summary}`)
    if (event === 'escalated')
      return terminal.out(`${yellow('escalated')}${escalatedTo(approval)}  ${approval.id}  ${summary}`)
    terminal.out(`${yellow('asked')}  ${approval.id}  ${printable(approval.agent.name)}  ${summary}`)
  }

function outcomeLine(approval: ApprovalView, { green, red, dim }: Deps['terminal']['colors'], now: number): string {
  const paint = outcomeWord(approval) === 'approved' ? green : red
  return `${paint(decidedText(approval, { now }))}  ${approval.id}  ${dim(printable(approval.action.summary))}`
}

/** One card at a time, decided by keys. A key counts once: while it is being sent, others are not heard. */
class Deck {
  readonly #client: Client
  readonly #open: Map<string, ApprovalView>
  readonly #deps: Deps
  readonly #quit: () => void
  readonly #skipped = new Set<string>()
  #shown: ApprovalView | undefined
  #busy = false
  #release: () => void

  constructor(client: Client, open: Map<string, ApprovalView>, deps: Deps, quit: () => void) {
    this.#client = client
    this.#open = open
    this.#deps = deps
    this.#quit = quit
    this.#release = this.#listen()
  }

  close(): void {
    this.#release()
  }

  /** Shows the next card, when none is on the table. */
  deal(): void {
    if (this.#shown) return
    const next = [...this.#open.values()].find(({ id }) => !this.#skipped.has(id))
    if (!next) return
    this.#shown = next
    const { terminal, now } = this.#deps
    terminal.out('')
    for (const line of approvalCard(next, { colors: terminal.colors, now: now(), width: terminal.width() }))
      terminal.out(line)
    const more = this.#open.size - 1
    const suggested = next.suggestion ? '  [u] use what is suggested' : ''
    terminal.err(`\n[y] approve${suggested}  [n] deny  [s] skip  [q] quit${more > 0 ? `   (${more} more)` : ''}`)
  }

  decided(approval: ApprovalView): void {
    const { terminal, now } = this.#deps
    terminal.out(outcomeLine(approval, terminal.colors, now()))
    this.#open.delete(approval.id)
    if (this.#shown?.id === approval.id) this.#shown = undefined
    this.deal()
  }

  #listen(): () => void {
    return this.#deps.terminal.onKey((key) => {
      if (key === 'q') return this.#quit()
      if (!this.#shown || this.#busy) return
      if (key === 'y') void this.#decide(this.#shown, 'approve')
      if (key === 'u' && this.#shown.suggestion) void this.#decide(this.#shown, 'approve', this.#shown.suggestion.edits)
      if (key === 'n') void this.#decide(this.#shown, 'deny')
      if (key !== 's') return
      this.#skipped.add(this.#shown.id)
      this.#shown = undefined
      this.deal()
    })
  }

  async #decide(approval: ApprovalView, decision: Decision, edits?: object): Promise<void> {
    const { terminal } = this.#deps
    this.#busy = true
    try {
      const reason = approval.reasonRequired.includes(decision) ? await this.#askReason() : undefined
      if (reason === '') return terminal.err('This decision needs a reason. Nothing was decided.')
      const more = { ...(reason === undefined ? {} : { reason }), ...(edits === undefined ? {} : { edits }) }
      const after = await this.#client.approvals.decide(approval.id, decision, more)
      if (!this.#open.has(approval.id)) return
      if (after.status !== 'pending') return this.decided(after)
      terminal.err('Your vote counts; it needs more.')
      this.#skipped.add(approval.id)
      this.#shown = undefined
      this.deal()
    } catch (error) {
      // What was decided elsewhere is told when the record is read; everything else leaves the card where it is.
      terminal.err(explain(error))
    } finally {
      this.#busy = false
    }
  }

  async #askReason(): Promise<string> {
    this.#release()
    try {
      return (await this.#deps.terminal.ask('Reason: ')) ?? ''
    } finally {
      this.#release = this.#listen()
    }
  }
}
