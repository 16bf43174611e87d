import { type Approvals, createApprovals, shaped } from './approvals.ts'
import { type GuardOptions, type GuardResult, guard } from './guard.ts'
import { type ClientOptions, createTransport, PIECE_WAIT_SECONDS } from './transport.ts'
import type { ApprovalView } from './types.ts'
import { type WrapOptions, type WrapResult, wrap } from './wrap.ts'

export interface Client {
  /**
   * Asks whether the tool may run with these arguments, and waits for the answer. A denial is a value; rejects with
   * CountersignClientError for a wrong call, a wrong credential or an abort.
   */
  guard<A extends object>(tool: string, args: A, options?: GuardOptions): Promise<GuardResult<A>>
  /** The function behind a gate: it runs only when allowed, with what was approved. */
  wrap<P extends unknown[], R, A extends object = object>(
    fn: (...params: P) => R | Promise<R>,
    options?: WrapOptions<P, A>,
  ): (...params: P) => Promise<WrapResult<R>>
  /** The record of an own call, at once or as soon as it is no longer pending, at most `waitSeconds` (50) later. */
  get(id: string, options?: { waitSeconds?: number; signal?: AbortSignal }): Promise<ApprovalView>
  /** Takes the question back: the approval is cancelled. */
  withdraw(id: string): Promise<void>
  /** For people and their tools. */
  approvals: Approvals
}

/** Throws CountersignClientError `usage` when the address is none. Nothing is sent before the first call. */
export function createClient(options: ClientOptions): Client {
  const transport = createTransport(options)
  const client: Client = {
    guard: (tool, args, more) => guard(transport, tool, args, more),
    wrap: (fn, more) => wrap(client.guard, fn, more),
    async get(id, { waitSeconds, signal } = {}) {
      const wait = waitSeconds === undefined ? undefined : Math.min(PIECE_WAIT_SECONDS, Math.max(0, waitSeconds))
      const answer = await transport.call('GET', `/v1/actions/${encodeURIComponent(id)}`, {
        ...(wait === undefined ? {} : { headers: { prefer: `wait=${Math.floor(wait)}` } }),
        ...(signal ? { signal } : {}),
      })
      return shaped<ApprovalView>(answer, 'id')
    },
    async withdraw(id) {
      await transport.call('DELETE', `/v1/actions/${encodeURIComponent(id)}`)
    },
    approvals: createApprovals(transport),
  }
  return client
}
