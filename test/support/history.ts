import { expect, vi } from 'vitest'
import type { Approval } from '../../lib/core/approval.ts'
import { auditApproval } from '../../lib/core/audit.ts'
import type { ApprovalRequested, DomainEvent } from '../../lib/core/events.ts'
import { createApproval } from '../../lib/core/transition.ts'
import type { Answer, AskBody } from './server.ts'

/** An outcome that the gate took from an agent. */
export interface TakenReport {
  id: string
  use: number
  outcome: string
}

/** What a deployment says of itself, from three sides. */
export interface Evidence {
  /** The record. */
  records: readonly Approval[]
  /** All that was published. */
  events: readonly DomainEvent[]
  /** What agents were answered. */
  answers: readonly Answer<AskBody>[]
  reports: readonly TakenReport[]
}

const DECISIONS = ['approved', 'denied', 'expired', 'cancelled']
const END_OF_USE = ['returned', 'settled']
/** What happens to a record while nobody decides. */
const REMINDERS = ['warned', 'escalated']

/**
 * Whatever failed meanwhile: every request has exactly one outcome, no use is won twice, nothing went ahead without a
 * claim, nobody heard of what the record does not know, and record, history and topics agree.
 * Waits until no record owes an event; fails with one line per fault.
 */
export async function expectSoundHistory(source: {
  records(): Promise<Approval[]>
  evidence(): Promise<Evidence>
}): Promise<void> {
  await untilAllIsPublished(source)
  expect(faultsOf(await source.evidence())).toEqual([])
}

/** Resolves when no record owes the bus an event. */
export async function untilAllIsPublished({ records }: { records(): Promise<Approval[]> }): Promise<void> {
  await vi.waitFor(
    async () => {
      const owing = (await records()).filter(({ outbox }) => outbox.length > 0)
      expect(owing.map(({ id }) => `${id} owes the bus an event`)).toEqual([])
    },
    { timeout: 20_000, interval: 50 },
  )
}

/** One line per fault; empty when all is sound. */
export function faultsOf({ records, events, answers, reports }: Evidence): string[] {
  const byId = new Map(records.map((record) => [record.id, record]))
  const published = new Map<string, DomainEvent[]>()
  for (const event of events) published.set(event.data.id, [...(published.get(event.data.id) ?? []), event])
  return [
    ...records.flatMap((record) => [
      ...auditApproval(record).map((fault) => `${record.id}: ${fault}`),
      ...lifeFaults(record),
      ...untold(record, published.get(record.id) ?? []),
    ]),
    ...events.flatMap((event) => eventFaults(event, byId.get(event.data.id))),
    ...answerFaults(answers, byId),
    ...reports
      .filter(
        ({ id, use, outcome }) => !endsOfUse(byId.get(id)).some((end) => end.use === use && end.outcome === outcome),
      )
      .map(({ id, use, outcome }) => `${id}: the report that use ${use} was ${outcome} is not on record`),
  ]
}

/** One decision, which may run out unused; uses one after the other, each won once and ended once. */
function lifeFaults({ id, history }: Approval): string[] {
  const faults: string[] = []
  const decisions = history.map(({ type }) => type).filter((type) => DECISIONS.includes(type))
  if (!['approved', 'denied', 'expired', 'cancelled', 'approved,expired'].includes(decisions.join()))
    faults.push(`${id}: its outcomes are [${decisions.join(', ')}]`)
  let uses = 0
  let inUse = false
  for (const entry of history) {
    if (entry.type === 'claimed') {
      if (inUse || entry.use !== ++uses) faults.push(`${id}: use ${entry.use} was claimed out of turn`)
      inUse = true
    } else if (entry.type === 'returned' || entry.type === 'settled') {
      if (!inUse || entry.use !== uses) faults.push(`${id}: use ${entry.use} was ended out of turn`)
      inUse = false
    }
  }
  return faults
}

/** Every outcome in the history went out as one event; a copy of it has the same id. */
function untold({ id, history }: Approval, events: readonly DomainEvent[]): string[] {
  const faults: string[] = []
  const ids = (fits: (event: DomainEvent) => boolean) => new Set(events.filter(fits).map(({ eventId }) => eventId)).size
  for (const { type, hash } of history) {
    if (!DECISIONS.includes(type) && !END_OF_USE.includes(type) && !REMINDERS.includes(type)) continue
    const count = ids(({ data }) => 'historyHash' in data && data.historyHash === hash)
    if (count !== 1) faults.push(`${id}: ${count} events tell that it was ${type}`)
  }
  // Gates that get the same Idempotency-Key ask under the same id, each in its own words: the first on record counts.
  const asked = ids(({ topic }) => topic === 'approval.requested')
  if (asked !== 1) faults.push(`${id}: ${asked} events ask for it`)
  const [recorded] = history
  const isAsked = events.some(
    ({ topic, data }) =>
      topic === 'approval.requested' && recorded?.type === 'requested' && hashOf(data) === recorded.requestHash,
  )
  if (!isAsked) faults.push(`${id}: the request on record was never published`)
  return faults
}

/** What was published is what the record says. */
function eventFaults(event: DomainEvent, record: Approval | undefined): string[] {
  const { topic, data } = event
  // A command is not yet a fact.
  if (topic === 'approval.decide') return []
  if (!record) return [`${data.id}: ${topic} tells of what is not on record`]
  if (topic === 'approval.requested') return []
  // A gate's own report; whether it was taken is in the history.
  if (data.historyHash === null) return []
  const entry = record.history.find(({ hash }) => hash === data.historyHash)
  const said = topic === 'approval.settled' && entry && 'outcome' in entry ? entry.outcome : entry?.type
  const told = 'outcome' in data ? data.outcome : topic === 'approval.expiring' ? 'warned' : 'escalated'
  return said === told ? [] : [`${data.id}: ${topic} says ${told}, the history ${said ?? 'nothing'}`]
}

function answerFaults(answers: readonly Answer<AskBody>[], byId: ReadonlyMap<string, Approval>): string[] {
  const faults: string[] = []
  const forwarded = new Set<string>()
  for (const { body } of answers) {
    const { approvalId: id, effect, use, replayed } = body
    if (id === undefined) continue
    const record = byId.get(id)
    if (!record) faults.push(`${id}: an agent was told of what is not on record`)
    if (effect !== 'allow') continue
    if (!record?.history.some((entry) => entry.type === 'claimed' && entry.use === use))
      faults.push(`${id}: use ${use} went ahead without a claim`)
    if (replayed) continue
    if (forwarded.has(`${id}:${use}`)) faults.push(`${id}: use ${use} went ahead twice`)
    forwarded.add(`${id}:${use}`)
  }
  return faults
}

function hashOf(request: ApprovalRequested): string | undefined {
  const [entry] = createApproval(request, request.requestedAt).history
  return entry?.type === 'requested' ? entry.requestHash : undefined
}

const endsOfUse = (record: Approval | undefined) =>
  (record?.history ?? []).flatMap((entry) =>
    entry.type === 'returned' || entry.type === 'settled' ? [{ use: entry.use, outcome: entry.outcome }] : [],
  )
