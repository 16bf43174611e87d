import { Status } from '../../../lib/core/approval.ts'
import { CountersignError, type ErrorCode } from '../../../lib/core/errors.ts'
import type { DecisionWord } from '../../../lib/core/events.ts'
import { type ApprovalView, viewOf } from '../../../lib/core/view.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { SlackApi, SlackBlock } from '../../../lib/ports/slack.ts'
import { approverOf } from '../../../lib/runtime/approver.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import { reasonOf } from '../../../lib/runtime/reason.ts'
import type { Cards } from './cards.ts'
import { type ButtonClick, type Click, readClick } from './click.ts'
import { voteNote } from './follow-up.ts'
import { detailsModal, REASON, reasonModal } from './modals.ts'
import type { People } from './people.ts'
import { inert } from './text.ts'
import { decisionOf } from './wording.ts'

/** Slack waits three seconds for an answer. */
const ANSWER_MS = 2_500
const LINE = 1_000

/** What Slack is answered: nothing, or what its modal is to do. */
export type Answer = object | undefined

/** What came of a click, in a word, and the answer. */
interface Acted {
  result: string
  answer?: Answer
}

/** Refusals that the one who clicked is told, and that Slack need not send again. */
const TOLD: ReadonlySet<ErrorCode> = new Set([
  ...(['already_decided', 'already_voted', 'approval_expired', 'approval_cancelled', 'approval_not_found'] as const),
  ...(['not_an_approver', 'self_approval', 'reason_required'] as const),
])

/**
 * What people do on cards. The decision is made before the answer, so that whatever stands in its way makes Slack, or the
 * one who clicked, try again; what only tells of it comes after.
 */
export class Clicks {
  readonly #api: SlackApi
  readonly #decider: Pick<Decider, 'lookup' | 'decide'>
  readonly #people: People
  readonly #cards: Cards
  readonly #tenant: string
  readonly #clock: Clock
  readonly #log: Logger
  readonly #metrics: Metrics
  readonly #afterwards = new Set<Promise<void>>()

  constructor(deps: {
    api: SlackApi
    decider: Pick<Decider, 'lookup' | 'decide'>
    people: People
    cards: Cards
    tenant: string
    clock: Clock
    log: Logger
    metrics: Metrics
  }) {
    this.#api = deps.api
    this.#decider = deps.decider
    this.#people = deps.people
    this.#cards = deps.cards
    this.#tenant = deps.tenant
    this.#clock = deps.clock
    this.#log = deps.log
    this.#metrics = deps.metrics
  }

  /** Rejects with `invalid_request` for what is no click on a card of ours, and with `internal_error` for what failed here. */
  async answer(payload: unknown): Promise<Answer> {
    try {
      const click = readClick(payload)
      if (!click) return undefined
      const { result, answer } = await this.#inTime(this.#act(click))
      this.#count(result)
      return answer
    } catch (error) {
      if (error instanceof CountersignError && error.code === 'invalid_request') {
        this.#count('malformed')
        throw error
      }
      this.#count('failed')
      throw new CountersignError('internal_error', {}, { cause: error })
    }
  }

  /** Resolves when what comes after the answers is done. */
  async close(): Promise<void> {
    await Promise.all(this.#afterwards)
  }

  #count(result: string): void {
    this.#metrics.slackClicks.inc({ result })
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    let cancel = () => {}
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(ANSWER_MS, () => reject(new Error('the click was not handled in time')))
    })
    try {
      return await Promise.race([work, late])
    } finally {
      cancel()
    }
  }

  async #act(click: Click): Promise<Acted> {
    const approver = await this.#people.approverOf(click.by)
    if (!approver) return this.#refuse(click, 'not_an_approver', strangerDetail(click.by.userId))
    try {
      const before = viewOf(await this.#decider.lookup(this.#tenant, click.approvalId))
      if (click.type === 'details') return await this.#open(click, detailsModal(before), 'details')
      if (before.status !== Status.pending) return this.#tellStanding(click, before)
      if (click.type === 'reason') return await this.#decide(click, click.decision, before, approver)
      if (click.type === 'deny' || before.reasonRequired.includes('approve'))
        return await this.#open(click, reasonModal(before, click.type, click.place), 'reason_asked')
      return await this.#decide(click, 'approve', before, approver)
    } catch (error) {
      if (!(error instanceof CountersignError) || !TOLD.has(error.code)) throw error
      return this.#refuse(click, error.code, error.message)
    }
  }

  async #decide(click: Click, decision: DecisionWord, before: ApprovalView, approver: Principal): Promise<Acted> {
    const decided = await this.#decider.decide({
      tenant: this.#tenant,
      id: click.approvalId,
      decision,
      by: approverOf(approver, 'slack'),
      reason: click.type === 'reason' ? reasonOf(click.reason) : null,
      edits: null,
    })
    const after = viewOf(decided)
    if (after.status !== Status.pending) {
      // The card hears of the decision as every other surface does; only who came second is told apart.
      const isMine = after.decidedBy.some(({ name }) => name === approver.name)
      return isMine
        ? { result: after.status === Status.denied ? 'denied' : 'approved' }
        : this.#tellStanding(click, after)
    }
    const isNew = after.votes.length > before.votes.length
    this.#afterwardsDo(async () => {
      await this.#cards.refresh(click.place, after)
      const note = isNew ? voteNote(after) : undefined
      if (note) await this.#api.post(click.place.channel, note, { thread: click.place.ts })
    })
    return { result: 'voted' }
  }

  async #open({ triggerId }: ButtonClick, view: SlackBlock, result: string): Promise<Acted> {
    await this.#api.openView(triggerId, view)
    return { result }
  }

  /** Somebody came too late: they learn who was first, and the card shows it. */
  #tellStanding(click: Click, standing: ApprovalView): Acted {
    this.#afterwardsDo(() => this.#cards.refresh(click.place, standing))
    return this.#refuse(click, 'already_decided', `It is settled. ${decisionOf(standing) ?? ''}`)
  }

  /** Only the one who clicked sees it: in the modal that they sent, or as a line under the card. */
  #refuse(click: Click, code: ErrorCode, detail: string): Acted {
    const text = inert(detail, LINE)
    if (click.type === 'reason')
      return { result: code, answer: { response_action: 'errors', errors: { [REASON.block]: text } } }
    this.#afterwardsDo(() => this.#api.whisper(click.place.channel, click.by.userId, text))
    return { result: code }
  }

  #afterwardsDo(work: () => Promise<void>): void {
    const done = work()
      .catch((error: unknown) => this.#log.warn({ err: error }, 'a click was handled, but Slack could not be told'))
      .finally(() => this.#afterwards.delete(done))
    this.#afterwards.add(done)
  }
}

const strangerDetail = (userId: string): string =>
  `You are no approver here, and nothing has changed. Whoever runs Countersign can list your Slack user id ${userId}, or your e-mail address.`
