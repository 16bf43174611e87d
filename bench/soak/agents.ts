import { argumentsOf, type CallRecord, wantedOf } from './call.ts'
import { type Answer, call } from './caller.ts'

/** A caller's own limit for one request: shorter than what clients allow, so that it comes back. */
const WAIT_SECONDS = 20
const PAUSE_MS = 500

export interface Agents {
  calls: readonly CallRecord[]
  /** Resolves when every call has its answer and its report, or `signal` aborts. */
  finished(): Promise<void>
}

/**
 * Calls come in at `rate` a second, however long the answers take: each in a try of its own at the moment that is its
 * turn. An agent sends the same call with the same Idempotency-Key until it has an answer, runs what it was allowed
 * once, and reports until the report is taken.
 */
export function startAgents(options: {
  gateUrl: string
  key: string
  idOf(key: string): string
  rate: number
  forMs: number
  signal: AbortSignal
}): Agents {
  const { gateUrl, key, idOf, rate, forMs, signal } = options
  const calls: CallRecord[] = []
  const running: Promise<void>[] = []

  async function run(record: CallRecord): Promise<void> {
    const use = await ask(record)
    record.answeredAt = performance.now()
    if (record.answer !== 'allowed') return
    // An agent that crashed would look up whether it ran; this one knows.
    record.executions += 1
    await report(record, use)
  }

  /** Resolves with the use that it was allowed, if it was. */
  async function ask(record: CallRecord): Promise<unknown> {
    const headers = { 'idempotency-key': keyOf(record.number), prefer: `wait=${WAIT_SECONDS}` }
    const body = { tool: 'stripe.refund', args: argumentsOf(record.number) }
    for (; !signal.aborted; record.retries++) {
      const answer = await call(`${gateUrl}/v1/actions`, { method: 'POST', key, headers, body })
      if (answer?.status === 200) {
        record.answer = 'allowed'
        return answer.body.use
      }
      if (answer?.status === 403 && answer.body.code === 'approval_denied') {
        record.answer = 'denied'
        return undefined
      }
      if (!mayComeBack(answer)) {
        record.fault = `was answered ${answer?.status} ${answer?.body.code}`
        return undefined
      }
      await pause(answer?.retryAfterMs ?? PAUSE_MS)
    }
    return undefined
  }

  async function report(record: CallRecord, use: unknown): Promise<void> {
    const body = { status: 'executed', use }
    while (!signal.aborted) {
      const answer = await call(`${gateUrl}/v1/actions/${record.id}/outcome`, { method: 'POST', key, body })
      if (answer !== undefined && answer.status < 300) {
        record.isReported = true
        return
      }
      if (!mayComeBack(answer)) {
        record.fault = `its report was answered ${answer?.status} ${answer?.body.code}`
        return
      }
      await pause(answer?.retryAfterMs ?? PAUSE_MS)
    }
  }

  async function arrive(): Promise<void> {
    const start = performance.now()
    for (let number = 1; ; number++) {
      const dueAt = ((number - 1) * 1000) / rate
      if (dueAt >= forMs || signal.aborted) return
      const early = start + dueAt - performance.now()
      if (early > 0) await pause(early)
      const record: CallRecord = {
        number,
        id: idOf(keyOf(number)),
        wanted: wantedOf(number),
        answer: null,
        executions: 0,
        retries: 0,
        isReported: false,
        startedAt: performance.now(),
        answeredAt: null,
        fault: null,
      }
      calls.push(record)
      running.push(run(record))
    }
  }

  const arriving = arrive()
  return {
    calls,
    async finished() {
      await arriving
      await Promise.all(running)
    },
  }
}

const keyOf = (number: number): string => `soak-${number}`

/** No answer, not yet an answer, or a server that says to try again. */
const mayComeBack = (answer: Answer | undefined): boolean =>
  answer === undefined || answer.status === 202 || answer.status === 429 || answer.body.retryable === true

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
