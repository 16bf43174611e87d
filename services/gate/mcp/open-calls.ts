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
  principal: Principal
  approval: Approval
  /** What it was forwarded with, where a person changed it. */
  editedArgs: JsonObject | null
  /** Ends the exchange with the server. */
  end: () => void
}

const REMEMBERED_CALLS = 10_000

/**
 * What came of forwarded calls, by what the server answers: each use is reported once. A stream that breaks can be resumed
 * on another one, so the answer may come there: calls are kept by session and id.
 */
export class OpenCalls {
  readonly #approvals: Approvals
  readonly #clock: Clock
  readonly #gate: string
  /** Those of which nothing is on record yet. */
  readonly #open = new Set<OpenCall>()
  readonly #resumable = new RecentMap<string, OpenCall>(REMEMBERED_CALLS)

  constructor(deps: { approvals: Approvals; clock: Clock; gate: string }) {
    this.#approvals = deps.approvals
    this.#clock = deps.clock
    this.#gate = deps.gate
  }

  begin(call: OpenCall): void {
    this.#open.add(call)
  }

  isOpen(call: OpenCall): boolean {
    return this.#open.has(call)
  }

  /** The client can come back for the answer, until the record closes the use. */
  keep(session: string, call: OpenCall): void {
    this.#clock.after(CLAIM_TIMEOUT_MS, () => void this.settle(call, 'unknown', 'Nobody came back for the answer.'))
    this.#resumable.set(keyOf(session, call.id), call)
  }

  /** The call that waits for the answer with this id. */
  find(session: string, id: RequestId): OpenCall | undefined {
    return this.#resumable.get(keyOf(session, id))
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
    if (!this.#open.delete(call)) return
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
    await this.#approvals.report(report).catch(() => this.#approvals.outcomes.tell(report))
  }

  /** Ends what still runs: nobody will be here to hear of it. */
  async close(): Promise<void> {
    const open = [...this.#open]
    for (const call of open) call.end()
    await Promise.all(open.map((call) => this.settle(call, 'unknown', 'The gate stopped while the call ran.')))
  }
}

const keyOf = (session: string, id: RequestId): string => JSON.stringify([session, id])

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
