import { batch, computed, type Signal, signal } from '@preact/signals'
import type { ApprovalView, Decision } from '../sdk/types.ts'
import { getApproval, Refusal } from './api.ts'
import { plainText } from './invisible.ts'
import { linked } from './linked.ts'

/** What a viewer can answer; `suggested` approves with the edits that an evaluator proposes. */
export type Answer = Decision | 'suggested'

/** Edits count only where one vote decides: all who vote must mean the same arguments. */
export const canTakeSuggestion = ({ suggestion, threshold }: ApprovalView): boolean =>
  suggestion !== undefined && threshold.approve === 1

/** `needs`: the answer that waits for a reason. */
export type Alert = { text: string; needs?: Answer }

export type Phase =
  | { kind: 'open'; alert?: Alert }
  | { kind: 'deciding'; decision: Decision }
  /** Decided, here or elsewhere. `since` is this machine's time; `late` says why the viewer's own decision did not count. */
  | { kind: 'settled'; since: number; late?: string }

/** One request on the screen. It keeps its place and the reason typed so far, whatever happens around it. */
export interface Card {
  readonly id: string
  readonly approval: Signal<ApprovalView>
  readonly phase: Signal<Phase>
  readonly reason: Signal<string>
}

export const RECENT_LIMIT = 20
const VERSIONS_LIMIT = 10_000
/** Events of what was missed follow the snapshot at once; what they don't explain is asked for. */
const LOOKUP_AFTER_MS = 2_000

/** Oldest first. New ones are added at the end, so that no card moves because another one came. */
export const cards = signal<readonly Card[]>([])
/** Decided lately and no longer on a card, the newest decision first. */
export const recent = signal<readonly ApprovalView[]>([])
/** False until the first snapshot. */
export const loaded = signal(false)
/** What just happened, for screen readers. */
export const announcement = signal('')

export const waiting = computed(() => cards.value.filter((card) => isWaiting(card)).length)

const isWaiting = (card: Card): boolean => card.approval.value.status === 'pending'

/** The highest version seen of each record, so that a late event changes nothing, also after its card has gone. */
const versions = new Map<string, number>()

export function forgetAll(): void {
  batch(() => {
    cards.value = []
    recent.value = []
    loaded.value = false
    announcement.value = ''
  })
  versions.clear()
}

/** Everything that is pending now. With `reset`, what is known of other versions no longer counts. */
export function applySnapshot(items: readonly ApprovalView[], reset: boolean): void {
  const pending = new Set(items.map((item) => item.id))
  const unexplained = cards.value.filter((card) => isWaiting(card) && !pending.has(card.id))
  if (reset) versions.clear()
  batch(() => {
    for (const item of items.toSorted((a, b) => a.requestedAt.localeCompare(b.requestedAt))) apply(item)
    loaded.value = true
  })
  if (unexplained.length > 0) setTimeout(() => void lookUp(unexplained), reset ? 0 : LOOKUP_AFTER_MS)
}

/** Takes over a record as the server knows it, unless something newer is known. */
export function apply(approval: ApprovalView): void {
  const known = versions.get(approval.id)
  if (known !== undefined && approval.version <= known) return
  remember(approval)
  const card = cards.value.find(({ id }) => id === approval.id)
  if (card) batch(() => update(card, approval))
  else if (approval.status === 'pending') add(approval)
  else addRecent(approval)
}

function add(approval: ApprovalView): void {
  cards.value = [...cards.value, createCard(approval)]
  if (loaded.value) announce(`New request from ${approval.agent.name}: ${approval.action.summary}`)
}

/** What was decided before the page was opened. */
export function applyPast(approvals: readonly ApprovalView[]): void {
  batch(() => {
    for (const approval of approvals) apply(approval)
  })
}

/** A decided card goes to the recent ones. */
export function dismiss(card: Card): void {
  batch(() => {
    cards.value = cards.value.filter((each) => each !== card)
    addRecent(card.approval.value)
  })
}

/** Reads the record of a card that the server no longer lists. */
export async function lookUp(which: readonly Card[]): Promise<void> {
  for (const card of which) {
    if (!cards.value.includes(card) || !isWaiting(card)) continue
    try {
      apply(await getApproval(card.id))
    } catch (error) {
      // Whatever else went wrong, the next snapshot tells.
      if (error instanceof Refusal && error.problem.status === 404) drop(card)
    }
  }
}

/** Reads the record that the page was opened for, where it waits no more. */
export async function lookUpLinked(): Promise<void> {
  const id = linked.value
  if (id === undefined || !loaded.value || cards.peek().some((card) => card.id === id)) return
  // A link to what is not there shows what is.
  const approval = await getApproval(id).catch(() => undefined)
  if (!approval) return
  apply(approval)
  // What is known already may have left the recent ones.
  if (approval.status !== 'pending') addRecent(approval)
}

function drop(card: Card): void {
  cards.value = cards.value.filter((each) => each !== card)
  versions.delete(card.id)
}

const createCard = (approval: ApprovalView): Card => ({
  id: approval.id,
  approval: signal(approval),
  phase: signal<Phase>({ kind: 'open' }),
  reason: signal(''),
})

function update(card: Card, approval: ApprovalView): void {
  remind(card.approval.value, approval)
  card.approval.value = approval
  const settled = card.phase.value.kind === 'settled'
  if (approval.status === 'pending') {
    if (settled) card.phase.value = { kind: 'open' }
    return
  }
  if (settled) return
  card.phase.value = { kind: 'settled', since: Date.now() }
  announce(`${approval.action.summary}: ${approval.status}`)
}

/** What a screen reader hears while nobody decides. */
function remind(before: ApprovalView, after: ApprovalView): void {
  if (after.status !== 'pending') return
  const steps = (approval: ApprovalView) => approval.escalated?.length ?? 0
  if (steps(after) > steps(before)) announce(`Escalated: ${after.action.summary}`)
  else if (after.warnedAt !== undefined && before.warnedAt === undefined)
    announce(`Time runs out: ${after.action.summary}`)
}

const announce = (text: string): void => {
  announcement.value = plainText(text)
}

function addRecent(approval: ApprovalView): void {
  const others = recent.value.filter(({ id }) => id !== approval.id)
  recent.value = [approval, ...others]
    .sort((a, b) => (b.decidedAt ?? '').localeCompare(a.decidedAt ?? ''))
    .filter(({ id }, at) => at < RECENT_LIMIT || id === linked.peek())
}

function remember({ id, version }: ApprovalView): void {
  versions.delete(id)
  versions.set(id, version)
  const oldest = versions.keys().next().value
  if (versions.size > VERSIONS_LIMIT && oldest !== undefined) versions.delete(oldest)
}
