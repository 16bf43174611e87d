import { type DomainEvent, type EventOf, Topic } from '../../lib/core/events.ts'
import { RecentMap } from '../../lib/core/recent-map.ts'
import { type ApprovalView, viewOf, viewOfRequest } from '../../lib/core/view.ts'
import type { Decider } from '../../lib/ports/decider.ts'

/** Open approvals whose record is known here; what is older is read again. */
const REMEMBERED = 20_000

/** The record right after an event: what is known of it, and what the event says. */
export class RecordViews {
  readonly #decider: Pick<Decider, 'lookup'>
  readonly #votesRequired: boolean
  readonly #open = new RecentMap<string, ApprovalView>(REMEMBERED)

  /** `votesRequired`: rather no answer than one without the votes that only the record holds. */
  constructor({ decider, votesRequired }: { decider: Pick<Decider, 'lookup'>; votesRequired: boolean }) {
    this.#decider = decider
    this.#votesRequired = votesRequired
  }

  /** Undefined for what says nothing new of a record. Rejects as `Decider.lookup` does. */
  async after(event: DomainEvent): Promise<ApprovalView | undefined> {
    const { topic, data } = event
    if (topic === Topic.requested) return this.#keep(viewOfRequest(data))
    // A gate's own report is not the record's word yet: the decider's own follows once it has taken it.
    if (topic === Topic.decide || data.version === null) return undefined
    const known = this.#open.get(data.id) ?? viewOf(await this.#decider.lookup(data.tenant, data.id))
    switch (topic) {
      case Topic.expiring:
        return this.#keep(warned(known, event))
      case Topic.escalated:
        return this.#keep(escalated(known, event))
      case Topic.decided:
        return this.#keep({ ...decided(known, event), votes: await this.#votes(known) })
      case Topic.settled:
        return this.#keep(settled(known, event))
    }
  }

  /** A first vote of several is on record, and no event tells of it. */
  async #votes({ tenant, id, threshold, votes }: ApprovalView): Promise<ApprovalView['votes']> {
    if (threshold.approve <= 1) return votes
    try {
      return viewOf(await this.#decider.lookup(tenant, id)).votes
    } catch (error) {
      if (this.#votesRequired) throw error
      return votes
    }
  }

  #keep(view: ApprovalView): ApprovalView {
    // Topics have no order among each other: an event may come after a later one.
    if ((this.#open.get(view.id)?.version ?? 0) > view.version) return view
    const isOpen = view.status === 'pending' || view.status === 'approved'
    if (isOpen) this.#open.set(view.id, view)
    else this.#open.delete(view.id)
    return view
  }
}

/** What was read from the record may be further than the event that is told of. */
function asPending(known: ApprovalView): ApprovalView {
  if (known.status === 'pending') return known
  const { settlement: _, decidedAt: __, reason: ___, edited: ____, ...before } = known
  return { ...before, status: 'pending', decidedBy: [] }
}

function escalated(known: ApprovalView, { data }: EventOf<'approval.escalated'>): ApprovalView {
  const { approvers, requirements, added, channels, step, version } = data
  const { warnedAt, ...before } = asPending(known)
  const expiresAt = instant(data.expiresAt)
  return {
    ...before,
    approvers,
    requirements,
    expiresAt,
    // A timeout that begins anew has its own warning.
    ...(warnedAt === undefined || expiresAt !== known.expiresAt ? {} : { warnedAt }),
    escalated: [...(known.escalated ?? []).slice(0, step - 1), { at: instant(data.at), approvers: added, channels }],
    version,
  }
}

const warned = (known: ApprovalView, { data }: EventOf<'approval.expiring'>): ApprovalView => ({
  ...asPending(known),
  expiresAt: instant(data.expiresAt),
  warnedAt: instant(data.at),
  version: data.version,
})

const decided = (known: ApprovalView, { data }: EventOf<'approval.decided'>): ApprovalView => ({
  ...asPending(known),
  status: data.outcome,
  decidedBy: data.decidedBy,
  decidedAt: instant(data.decidedAt),
  ...(data.reason === null ? {} : { reason: data.reason }),
  ...(data.edited ? { edited: true } : {}),
  version: data.version,
})

const settled = (known: ApprovalView, { data }: EventOf<'approval.settled'>): ApprovalView => ({
  ...known,
  status: data.outcome === 'not_executed' ? 'approved' : 'settled',
  settlement: {
    outcome: data.outcome,
    ...(data.status === null ? {} : { status: data.status }),
    ...(data.detail === null ? {} : { detail: data.detail }),
    settledAt: instant(data.settledAt),
  },
  version: data.version ?? known.version,
})

const instant = (ms: number): string => new Date(ms).toISOString()
