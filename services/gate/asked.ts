import type { Clock } from '../../lib/ports/clock.ts'
import { tooMany } from './holds.ts'

/** An approval that this gate asked for and that may still be used. */
export interface AskedApproval {
  id: string
  agentId: string
  /** Null when the action was not read whole. */
  fingerprint: string | null
  /** Where the one who asked wants to be told of the decision, or null. */
  callback: string | null
  requestedAt: number
  expiresAt: number
}

/**
 * What this gate asked for and is still open. It lets the same call join without the record, before the decider has
 * read the request, and bounds what an agent that never waits can pile up.
 */
export class Asked {
  readonly #clock: Clock
  readonly #maxPerAgent: number
  readonly #byId = new Map<string, AskedApproval>()
  readonly #byFingerprint = new Map<string, AskedApproval>()
  readonly #perAgent = new Map<string, number>()

  constructor(deps: { clock: Clock; maxPerAgent: number }) {
    this.#clock = deps.clock
    this.#maxPerAgent = deps.maxPerAgent
  }

  /** Call it before the request is published. Rejects with `too_many_holds`. */
  add(asked: AskedApproval): void {
    if (this.#isFull(asked.agentId)) {
      this.#forgetExpired()
      if (this.#isFull(asked.agentId))
        throw tooMany(`This agent has ${this.#maxPerAgent} approvals open, which is its limit.`)
    }
    this.forget(asked.id)
    this.#byId.set(asked.id, asked)
    this.#perAgent.set(asked.agentId, this.#count(asked.agentId) + 1)
    if (asked.fingerprint !== null) this.#byFingerprint.set(asked.fingerprint, asked)
  }

  /** The timeout of an approval that was escalated began anew. */
  extend(id: string, expiresAt: number): void {
    const asked = this.#byId.get(id)
    if (asked) asked.expiresAt = expiresAt
  }

  forget(id: string): void {
    const asked = this.#byId.get(id)
    if (!asked) return
    this.#byId.delete(id)
    const left = this.#count(asked.agentId) - 1
    if (left === 0) this.#perAgent.delete(asked.agentId)
    else this.#perAgent.set(asked.agentId, left)
    if (asked.fingerprint !== null && this.#byFingerprint.get(asked.fingerprint) === asked)
      this.#byFingerprint.delete(asked.fingerprint)
  }

  get(id: string): AskedApproval | undefined {
    return this.#byId.get(id)
  }

  /** The open approval for the same call, if this gate asked for one within this window; null: whenever that was. */
  find(fingerprint: string, windowMs: number | null): AskedApproval | undefined {
    const asked = this.#byFingerprint.get(fingerprint)
    const now = this.#clock.now()
    if (!asked || now >= asked.expiresAt) return undefined
    return windowMs === null || now < asked.requestedAt + windowMs ? asked : undefined
  }

  #count(agentId: string): number {
    return this.#perAgent.get(agentId) ?? 0
  }

  #isFull(agentId: string): boolean {
    return this.#count(agentId) >= this.#maxPerAgent
  }

  #forgetExpired(): void {
    const now = this.#clock.now()
    for (const { id, expiresAt } of [...this.#byId.values()]) if (expiresAt <= now) this.forget(id)
  }
}
