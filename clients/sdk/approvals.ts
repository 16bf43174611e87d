import { CountersignClientError } from './client-error.ts'
import { type WatchOptions, watchPending } from './pending-watch.ts'
import type { Transport } from './transport.ts'
import type { ApprovalView, Decision, Problem, Risk, Status } from './types.ts'

export interface ListQuery {
  status?: Status | readonly Status[]
  /** Name or id of the agent. */
  agent?: string
  tool?: string
  risk?: Risk
  /** A piece of the summary. */
  q?: string
  /** `next` of the page before. */
  after?: string
  /** At most 200. */
  limit?: number
}

export interface ListPage {
  /** Newest first. */
  items: ApprovalView[]
  /** Where the next page begins; absent or null at the end. */
  next?: string | null
}

export interface DecideOptions {
  reason?: string
  /** JSON merge patch (RFC 7396) on the arguments; only with `approve`. */
  edits?: object
}

export interface DecisionResult {
  id: string
  ok: boolean
  problem?: Problem
}

/** Most ids that one request takes. */
const BATCH = 200

export type Approvals = ReturnType<typeof createApprovals>

/** The approver's side. Every call rejects with CountersignClientError. */
export function createApprovals(transport: Transport) {
  const path = (id: string) => `/v1/approvals/${encodeURIComponent(id)}`

  return {
    async list(query: ListQuery = {}): Promise<ListPage> {
      const search = new URLSearchParams()
      for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value))
      const page = await transport.call('GET', search.size === 0 ? '/v1/approvals' : `/v1/approvals?${search}`)
      return shaped<ListPage>(page, 'items')
    },

    /** One record, with its history. */
    async get(id: string): Promise<ApprovalView> {
      return shaped<ApprovalView>(await transport.call('GET', path(id)), 'id')
    },

    /** The record after the decision, or `already_decided` with the standing one. The same decision again is fine. */
    async decide(id: string, decision: Decision, options: DecideOptions = {}): Promise<ApprovalView> {
      const body = JSON.stringify({ decision, ...options })
      return shaped<ApprovalView>(await transport.call('POST', `${path(id)}/decision`, { body }), 'id')
    },

    /** One result per id, in order: each stands for itself. */
    async decideAll(
      ids: readonly string[],
      decision: Decision,
      options: { reason?: string } = {},
    ): Promise<DecisionResult[]> {
      const results: DecisionResult[] = []
      for (let start = 0; start < ids.length; start += BATCH) {
        const body = JSON.stringify({ ids: ids.slice(start, start + BATCH), decision, ...options })
        const answer = await transport.call('POST', '/v1/approvals/decisions', { body })
        results.push(...shaped<{ results: DecisionResult[] }>(answer, 'results').results)
      }
      return results
    },

    /** Expires everything that is overdue (admin); resolves with how many there were. */
    async expire(scope: { allStale: true }): Promise<{ expired: number }> {
      const answer = await transport.call('POST', '/v1/approvals/expire', { body: JSON.stringify(scope) })
      return shaped<{ expired: number }>(answer, 'expired')
    },

    onPending: (callback: (approval: ApprovalView) => void | Promise<void>, options: WatchOptions = {}) =>
      watchPending(transport, callback, options),
  }
}

/** The answer as what it should be, told by one field. */
export function shaped<T extends object>(answer: unknown, field: keyof T & string): T {
  if (typeof answer !== 'object' || answer === null || !(field in answer))
    throw new CountersignClientError('invalid_response', 'The answer is not one of Countersign: is the address right?')
  return answer as T
}
