import type { DecisionWord, Threshold } from '../events.ts'
import type { ApprovalTerms, Policy } from './policy.ts'
import { bounded, type Place } from './source.ts'

const MAX_TEXT = 200

/** How long an approval may wait, in milliseconds. */
export const readTimeout = (place: Place | undefined): number | undefined => place?.duration('1s', '30d')

export const APPROVAL_KEYS = [
  'timeout',
  'approvers',
  'threshold',
  'reasonRequired',
  'onTimeout',
  'onDisconnect',
] as const

/** Reads `approval`, with the defaults of the settings. */
export function readApproval(place: Place | undefined, settings: Policy['settings']): ApprovalTerms {
  const fields = place?.fields(APPROVAL_KEYS)
  const approvers = fields?.approvers ? readApprovers(fields.approvers) : []
  if (fields?.onTimeout) checkOnTimeout(fields.onTimeout)
  return {
    timeoutMs: readTimeout(fields?.timeout) ?? settings.timeoutMs,
    approvers,
    threshold: readThreshold(fields?.threshold, approvers),
    reasonRequired: fields?.reasonRequired ? readReasonRequired(fields.reasonRequired) : [],
    onDisconnect: fields?.onDisconnect?.oneOf(['cancel', 'keep']) ?? 'cancel',
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

function checkOnTimeout(place: Place): void {
  if (place.value === 'deny') return
  if (place.value === 'approve') place.fail('there is no onTimeout: approve: what nobody decided is never approved')
  else if (place.value === 'escalate') place.fail('onTimeout: escalate is not supported by this version')
  else place.fail('this must be deny')
}
