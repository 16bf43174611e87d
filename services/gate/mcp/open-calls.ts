import { type Approval, CLAIM_TIMEOUT_MS } from '../../../lib/core/approval.ts'
import { isJsonObject, type JsonObject } from '../../../lib/core/canonical-json.ts'
import type { SettleOutcome } from '../../../lib/core/events.ts'
import { redactText } from '../../../lib/core/preview.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { Approvals } from '../approvals.ts'
import { editedNote } from './answers.ts'
import type { RequestId } from './message.ts'

/** An approved call that was forwarded, and of which the server has not said yet what came of it. */
export interface OpenCall {
  id: RequestId
  /** The request in its session; null where there are no sessions. */
  key: string | null
  principal: Principal
  approval: Approval
  /** What it was forwarded with, where a person changed it. */
  editedArgs: JsonObject | null
  /** Aborts when the client's connection is gone. */
  client: AbortSignal
  /** Ends the exchange with the server. */
  end: () => void
}

const REMEMBERED_EVENTS = 10_000
const MAX_EVENT_ID = 1_024

/**
 * What came of forwarded calls, by what the server answers: each use is reported once. A stream that breaks can be resumed
 * on another one, so the answer may come there: calls are found by the events of their streams. By the id of the request
 * alone an answer to another one would do.
 */
export class OpenCalls {
  readonly #approvals: Pick<Approvals, 'report' | 'tell'>
  readonly #clock: Clock
  readonly #gate: string
  /** Those of which nothing is on record yet, with what stops their clock. */
  readonly #open = new Map<OpenCall, () => void>()
  readonly #keys = new Set<string>()
  readonly #byEvent = new RecentMap<string, OpenCall>(REMEMBERED_EVENTS)

  constructor(deps: { approvals: Pick<Approvals, 'report' | 'tell'>; clock: Clock; gate: string }) {
    this.#approvals = deps.approvals
    this.#clock = deps.clock
    this.#gate = deps.gate
  }

  begin(call: OpenCall): void {
    const cancel = this.#clock.after(CLAIM_TIMEOUT_MS, () => this.#overdue(call))
    this.#open.set(call, cancel)
    if (call.key !== null) this.#keys.add(call.key)
  }

  isOpen(call: OpenCall): boolean {
    return this.#open.has(call)
  }

  /** The call that this request of a session made has no answer yet. */
  hasOpen(key: string): boolean {
    return this.#keys.has(key)
  }

  /** The client can come back for the rest of a call's stream from this event on, until the record closes the use. */
  keep(session: string, eventId: string, call: OpenCall): void {
    if (eventId.length <= MAX_EVENT_ID) this.#byEvent.set(eventKey(session, eventId), call)
  }

  /** The call whose stream is resumed after this event. */
  resumed(session: string, eventId: string): OpenCall | undefined {
    return this.#byEvent.get(eventKey(session, eventId))
  }

  /**
   * The server's answer as its client gets it. A use that was not executed is given back before, so that a call that comes
   * at once finds it.
   */
  async answered(call: OpenCall, answer: JsonObject): Promise<JsonObject> {
    const { result, error } = answer
    if (isJsonObject(error)) {
      await this.settle(call, 'not_executed', `The tool answered with the error ${Number(error.code)}.`)
      return answer
    }
    if (!isJsonObject(result)) {
      await this.settle(call, 'unknown', 'The answer could not be read.')
      return answer
    }
    if (result.isError === true)
      await this.settle(call, 'not_executed', `The tool failed. ${firstWords(result)}`.trim())
    // The tool has asked back and waits: the same call comes again with the answers.
    else if (result.resultType === 'input_required')
      await this.settle(call, 'not_executed', 'The tool asked for input.')
    else void this.settle(call, 'executed', null)
    return call.editedArgs === null ? answer : { ...answer, result: withNote(result, call.approval, call.editedArgs) }
  }

  /** Reports what came of the use, once; resolves when that is on record, or on its way there. Never rejects. */
  async settle(call: OpenCall, outcome: SettleOutcome, detail: string | null): Promise<void> {
    const cancel = this.#open.get(call)
    if (!cancel) return
    cancel()
    this.#open.delete(call)
    if (call.key !== null) this.#keys.delete(call.key)
    const { approval, principal } = call
    const report = {
      tenant: principal.tenant,
      id: approval.id,
      agentId: principal.id,
      use: approval.claim?.use ?? null,
      outcome,
      status: null,
      detail,
      gate: this.#gate,
    }
    await this.#approvals.report(report).catch(() => this.#approvals.tell(report))
  }

  /** The record closes the use by now. Who is there may wait on; without anybody a silent server is left. */
  #overdue(call: OpenCall): void {
    void this.settle(call, 'unknown', 'No answer came in time: the call may have run.')
    if (call.client.aborted) call.end()
    else call.client.addEventListener('abort', call.end, { once: true })
  }

  /** Ends what still runs: nobody will be here to hear of it. */
  async close(): Promise<void> {
    const open = [...this.#open.keys()]
    for (const call of open) call.end()
    await Promise.all(open.map((call) => this.settle(call, 'unknown', 'The gate stopped while the call ran.')))
  }
}

const eventKey = (session: string, eventId: string): string => JSON.stringify([session, eventId])

/** What a tool says at once has content; a task and a question have none. */
function withNote(result: JsonObject, approval: Approval, args: JsonObject): JsonObject {
  const { content } = result
  if (!Array.isArray(content)) return result
  return { ...result, content: [...content, { type: 'text', text: editedNote(approval, args) }] }
}

const MAX_DETAIL = 200

/** What a tool printed stays with the client; how it failed goes on record. */
function firstWords({ content }: JsonObject): string {
  const [first] = Array.isArray(content) ? content : []
  const text = isJsonObject(first) && typeof first.text === 'string' ? first.text : ''
  return redactText(text.split('\n', 1).join('').slice(0, MAX_DETAIL))
}
