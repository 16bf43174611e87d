import { isJsonObject, type Json } from '../../../lib/core/canonical-json.ts'
import type { HttpAction, PolicyAction, RequestBody } from '../../../lib/core/policy/action.ts'
import type { Policy } from '../../../lib/core/policy/policy.ts'
import { normaliseUrl } from '../../../lib/core/policy/target.ts'
import { REDACTED } from '../../../lib/core/redaction.ts'
import type { ApprovalView } from '../../sdk/index.ts'
import { pathsOf } from './paths.ts'

/** How far what is judged is what the agent sent. */
export interface Fidelity {
  /** Secrets were masked: a rule that looks at them sees the mask. */
  masked: boolean
  /** Long values were cut, or left out. */
  truncated: boolean
}

export interface RecordedAction {
  action: PolicyAction
  fidelity: Fidelity
}

/** The action of a record, as far as the record has it; undefined for what it does not have enough of to be judged. */
export function recordedAction({ agent, action }: ApprovalView): RecordedAction | undefined {
  const { kind, tool, preview, previewTruncated } = action
  const args = jsonOf(preview)
  if (args === undefined) return undefined
  const { name, session = null, user = null } = agent
  const acting = { agent: { name }, context: { session, user } }
  const masked = [preview, session, user].some((text) => text?.includes(REDACTED))
  const fidelity = { masked, truncated: previewTruncated }
  if (kind === 'http') {
    const http = httpOf(args)
    return http && { action: { kind: 'http', http, ...acting }, fidelity }
  }
  if ((kind !== 'tool' && kind !== 'hook') || tool === undefined) return undefined
  return { action: { kind: 'tool', tool, args, ...acting }, fidelity }
}

/** A proxied call, as its preview tells of it; undefined when that is not whole. */
function httpOf(preview: Json): HttpAction['http'] | undefined {
  if (!isJsonObject(preview)) return undefined
  const { upstream, method, url, headers = {}, body } = preview
  if (typeof upstream !== 'string' || typeof method !== 'string' || typeof url !== 'string') return undefined
  const found = normaliseUrl(url)
  if (!found.ok || !isJsonObject(headers)) return undefined
  const values = Object.entries(headers).map(([name, value]) => [name, [value].flat().map(String)])
  return { upstream, method, target: found.target, headers: Object.fromEntries(values), body: bodyOf(body) }
}

function bodyOf(body: Json | undefined): RequestBody {
  if (body === undefined) return { state: 'none' }
  if (isJsonObject(body) && isJsonObject(body.unread)) return { state: 'partly' }
  if (isJsonObject(body) && isJsonObject(body.unreadable)) return { state: 'unjudgeable' }
  return { state: 'whole', value: body }
}

function jsonOf(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** What rules of a policy look at and no record has: there, replaying says what they do without it. */
export function notRecorded({ rules }: Policy): string[] {
  const found = new Set<string>()
  for (const { match, when } of rules) {
    if (match.agentType) found.add('agentType')
    if (match.labels) found.add('labels')
    for (const path of when.flatMap(pathsOf)) {
      if (/\bheaders\.user-agent\b/.test(path)) found.add('headers.user-agent')
      if (/\bcontext\.labels\b/.test(path)) found.add('labels')
      if (/\bcontext\.risk\b/.test(path)) found.add('context.risk')
      if (/\bcontext\.autonomy\b/.test(path)) found.add('context.autonomy')
    }
  }
  return [...found].sort()
}
