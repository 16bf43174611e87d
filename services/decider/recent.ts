import { type Approval, Status } from '../../lib/core/approval.ts'
import { RecentMap } from '../../lib/core/recent-map.ts'

/** What is decided is decided soon, or much later: then the record is read. */
const REMEMBERED = 2_000

/**
 * The records as this decider wrote them last, while they wait for a decision or a claim. Another decider may have
 * written since, so what is at hand is only good for a write: the compare-and-swap proves it.
 */
export class Recent {
  readonly #byId = new RecentMap<string, Approval>(REMEMBERED)
  readonly #written = new WeakSet<Approval>()

  put(approval: Approval): void {
    this.#byId.delete(approval.id)
    if (approval.status !== Status.pending && approval.status !== Status.approved) return
    this.#written.add(approval)
    this.#byId.set(approval.id, approval)
  }

  get(tenant: string, id: string): Approval | undefined {
    const approval = this.#byId.get(id)
    return approval?.tenant === tenant ? approval : undefined
  }

  /** True for one that was at hand, and not read. */
  has(approval: Approval): boolean {
    return this.#written.has(approval)
  }
}
