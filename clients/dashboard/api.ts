import type { ApprovalView, Decision } from '../sdk/types.ts'
import { observeServerTime } from './clock.ts'
import type { DecisionMore, Problem, Session } from './wire.ts'

/** Longer than any answer that does not wait for a person. */
export const ANSWER_TIMEOUT_MS = 15_000

/** The server said no, or said nothing (`code: 'unreachable'`). */
export class Refusal extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    const trace = problem.status >= 500 && problem.traceId !== undefined ? ` (trace ${problem.traceId})` : ''
    super(`${problem.detail ?? problem.title}${trace}`)
    this.name = 'Refusal'
    this.problem = problem
  }
}

export const isUnauthenticated = (error: unknown): boolean => error instanceof Refusal && error.problem.status === 401

/** A person's words for whatever went wrong. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const UNREACHABLE: Problem = { code: 'unreachable', title: 'The server does not answer. Try again.', status: 0 }

async function call(method: string, path: string, body?: unknown): Promise<unknown> {
  const sentAt = Date.now()
  const init: RequestInit = { method, credentials: 'same-origin', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }
  if (body !== undefined) {
    init.headers = { 'content-type': 'application/json' }
    init.body = JSON.stringify(body)
  }
  let response: Response
  let text: string
  try {
    response = await fetch(path, init)
    text = await response.text()
  } catch {
    throw new Refusal(UNREACHABLE)
  }
  observeServerTime(response.headers.get('date'), sentAt, Date.now())
  const json = parse(text)
  if (response.ok) return json
  throw new Refusal(isProblem(json) ? json : { code: 'unknown', title: response.statusText, status: response.status })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isProblem = (json: unknown): json is Problem => typeof json === 'object' && json !== null && 'title' in json

export const getSession = async (): Promise<Session> => (await call('GET', '/v1/session')) as Session

export const createSession = async (proof: { code: string } | { token: string }): Promise<void> => {
  await call('POST', '/v1/session', proof)
}

export const deleteSession = async (): Promise<void> => {
  await call('DELETE', '/v1/session')
}

const DECIDED = ['approved', 'claimed', 'settled', 'denied', 'expired', 'cancelled'].join(',')

/** Those that wait no more, the newest request first. */
export const listDecided = async (limit: number): Promise<ApprovalView[]> =>
  ((await call('GET', `/v1/approvals?status=${DECIDED}&limit=${limit}`)) as { items: ApprovalView[] }).items

export const getApproval = async (id: string): Promise<ApprovalView> =>
  (await call('GET', `/v1/approvals/${encodeURIComponent(id)}`)) as ApprovalView

export const postDecision = async (id: string, decision: Decision, more: DecisionMore): Promise<ApprovalView> =>
  (await call('POST', `/v1/approvals/${encodeURIComponent(id)}/decision`, { decision, ...more })) as ApprovalView
