import { type Approval, isOverdue, Status } from '../../lib/core/approval.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Clock } from '../../lib/ports/clock.ts'

const PAGE = 200
/** Another decider may have recorded a request: look again this often while somebody waits. */
const LOOK_AGAIN_MS = 1_000

/** The pending approvals, with a wait for new ones. */
export class Pending {
  readonly #store: ApprovalStore
  readonly #clock: Clock
  readonly #waiters = new Set<() => void>()
  #closed = false

  constructor(deps: { store: ApprovalStore; clock: Clock }) {
    this.#store = deps.store
    this.#clock = deps.clock
  }

  /** Something was requested: everybody who waits looks. */
  wake(): void {
    for (const wake of this.#waiters) wake()
  }

  /** Answers everybody who waits, with what there is. */
  close(): void {
    this.#closed = true
    this.wake()
  }

  /** What is pending and not excluded, newest first (at most 200); waits for it up to `waitMs`, then is empty. */
  async list(tenant: string, exclude: ReadonlySet<string>, waitMs: number, signal: AbortSignal): Promise<Approval[]> {
    const deadline = this.#clock.now() + waitMs
    for (;;) {
      const found = await this.#find(tenant, exclude)
      const left = deadline - this.#clock.now()
      if (found.length > 0 || left <= 0 || this.#closed || signal.aborted) return found
      await this.#change(Math.min(left, LOOK_AGAIN_MS), signal)
    }
  }

  async #find(tenant: string, exclude: ReadonlySet<string>): Promise<Approval[]> {
    let after: { requestedAt: number; id: string } | undefined
    for (;;) {
      const page = await this.#store.list({ tenant, status: [Status.pending], limit: PAGE, ...(after && { after }) })
      const now = this.#clock.now()
      const found = page.filter((approval) => !exclude.has(approval.id) && !isOverdue(approval, now))
      const last = page.at(-1)
      if (found.length > 0 || page.length < PAGE || !last) return found
      after = { requestedAt: last.requestedAt, id: last.id }
    }
  }

  #change(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel()
        this.#waiters.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const cancel = this.#clock.after(ms, done)
      this.#waiters.add(done)
      signal.addEventListener('abort', done)
    })
  }
}
