import { type DecisionWord, ON_TIMEOUT, type Threshold } from '../events.ts'
import { readEscalation } from './parse-escalation.ts'
import type { ApprovalTerms, Policy, Warning } from './policy.ts'
import { bounded, type Place } from './source.ts'
import { warnAfterMs } from './warning.ts'

const MAX_TEXT = 200

/** How long an approval may wait, in milliseconds. */
export const readTimeout = (place: Place | undefined): number | undefined => place?.duration('1s', '30d')

/** For how long the same call joins what is pending, in milliseconds. */
export const readDedupeWindow = (place: Place | undefined): number | undefined => place?.duration('0s', '30d')

/** `80%` of the timeout, `2m` before its end, or `never` (null). */
export function readWarning(place: Place): Warning | null | undefined {
  if (place.value === 'never') return null
  const share = typeof place.value === 'string' ? /^([1-9]\d?)%$/.exec(place.value)?.[1] : undefined
  if (share !== undefined) return { share: Number(share) / 100 }
  if (typeof place.value === 'string' && place.value.endsWith('%')) return place.fail('this must be from 1% to 99%')
  const beforeMs = place.duration('1s', '30d')
  return beforeMs === undefined ? undefined : { beforeMs }
}

export const APPROVAL_KEYS = [
  'timeout',
  'approvers',
  'threshold',
  'reasonRequired',
  'warn',
  'escalation',
  'onTimeout',
  'onDisconnect',
  'dedupeWindow',
] as const

/** Reads `approval`, with the defaults of the settings. */
export function readApproval(place: Place | undefined, settings: Policy['settings']): ApprovalTerms {
  const fields = place?.fields(APPROVAL_KEYS)
  const approvers = fields?.approvers ? readApprovers(fields.approvers) : []
  const timeoutMs = readTimeout(fields?.timeout) ?? settings.timeoutMs
  const warn = fields?.warn ? readWarning(fields.warn) : settings.warn
  if (fields?.warn && warn && 'beforeMs' in warn && warn.beforeMs >= timeoutMs)
    fields.warn.fail('this is before the request: it must be shorter than the timeout')
  const onTimeout = fields?.onTimeout ? readOnTimeout(fields.onTimeout) : 'deny'
  if (onTimeout === 'escalate' && !fields?.escalation)
    fields?.onTimeout?.fail('onTimeout: escalate takes steps: "escalation" is missing')
  return {
    timeoutMs,
    approvers,
    threshold: readThreshold(fields?.threshold, approvers),
    reasonRequired: fields?.reasonRequired ? readReasonRequired(fields.reasonRequired) : [],
    onDisconnect: fields?.onDisconnect?.oneOf(['cancel', 'keep']) ?? 'cancel',
    warnAfterMs: warnAfterMs(warn ?? null, timeoutMs),
    escalation: fields?.escalation
      ? readEscalation(fields.escalation, { timeoutMs, onTimeout, isOpen: approvers.length === 0, readApprovers })
      : [],
    onTimeout,
    dedupeWindowMs: readDedupeWindow(fields?.dedupeWindow) ?? settings.dedupeWindowMs,
  }
}

function readApprovers(place: Place): string[] {
  const items = bounded(place, typeof place.value === 'string' ? [place] : place.items()) ?? []
  const names = items.flatMap((item) => {
    const name = item.text(MAX_TEXT)
    if (name === undefined) return []
    if (/^(?:group:)?\s*$|^\s|\s$|^group:\s|\p{Cc}/u.test(name))
      item.fail('an approver is a name, an e-mail address or group:name')
    return [name]
  })
  return [...new Set(names)]
}

function readThreshold(place: Place | undefined, approvers: readonly string[]): Threshold {
  const fields = place?.fields(['approve', 'deny'])
  const people = approvers.length > 0 && !approvers.some((name) => name.startsWith('group:')) ? approvers.length : 100
  const read = (word: DecisionWord): number => {
    const field = fields?.[word]
    const votes = field?.integer(1, 100) ?? 1
    if (field && votes > people) field.fail(`${votes} votes cannot come together: the rule names ${people} approvers`)
    return votes
  }
  return { approve: read('approve'), deny: read('deny') }
}

function readReasonRequired(place: Place): DecisionWord[] {
  const words = (place.items() ?? []).map((item) => item.oneOf<DecisionWord>(['approve', 'deny']))
  return [...new Set(words.filter((word) => word !== undefined))]
}

function readOnTimeout(place: Place): ApprovalTerms['onTimeout'] {
  if (place.value !== 'approve') return place.oneOf(ON_TIMEOUT) ?? 'deny'
  place.fail('there is no onTimeout: approve: what nobody decided is never approved')
  return 'deny'
}
