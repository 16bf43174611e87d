import type { Approval } from '../../../lib/core/approval.ts'
import { canonicalJson, type JsonObject, sha256Hex } from '../../../lib/core/canonical-json.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import type { HookCall, Question } from './hook-input.ts'

/** A use of an approval that a hook let go. */
export interface HookUse {
  id: string
  use: number
}

interface Known extends HookUse {
  /** Claude Code has asked for the permission of this very call. */
  permitted: boolean
  keys: string[]
}

/** Each use has two. */
const REMEMBERED_KEYS = 20_000

/**
 * Which call at a hook goes with which use, in this gate's memory: by `tool_use_id`, and by session, tool and input,
 * because a PermissionRequest has no id. What is not known costs a second question, or a report.
 */
export class HookUses {
  readonly #known = new RecentMap<string, Known>(REMEMBERED_KEYS)

  /** The call goes ahead with this input, as the approver left it. A PermissionRequest has its permission with that. */
  letGo(principal: Principal, event: Question, call: HookCall, input: JsonObject, { id, claim }: Approval): void {
    const keys = [...keysOf(principal, call), byInput(principal, { ...call, input })]
    const known: Known = { id, use: claim?.use ?? 1, permitted: event === 'PermissionRequest', keys }
    for (const key of keys) this.#known.set(key, known)
  }

  /** The use that a PermissionRequest is about, once; undefined when this gate let no such call go. */
  permit(principal: Principal, call: HookCall): HookUse | undefined {
    const known = this.#known.get(byInput(principal, call))
    if (!known || known.permitted) return undefined
    known.permitted = true
    return known
  }

  /** The use that a report is about, once. */
  take(principal: Principal, call: HookCall): HookUse | undefined {
    const keys = [...keysOf(principal, call), byInput(principal, call)]
    const known = keys.map((key) => this.#known.get(key)).find((each) => each !== undefined)
    for (const key of known?.keys ?? []) if (this.#known.get(key) === known) this.#known.delete(key)
    return known
  }
}

const keysOf = ({ tenant, id }: Principal, { session, toolUseId }: HookCall): string[] =>
  toolUseId === null ? [] : [JSON.stringify([tenant, id, session, toolUseId])]

const byInput = ({ tenant, id }: Principal, { session, tool, input }: HookCall): string =>
  sha256Hex(canonicalJson([tenant, id, session, tool, input]))
