import { formatDuration } from '../duration.ts'
import type { ApprovalTerms } from './policy.ts'
import type { Place } from './source.ts'

const MAX_STEPS = 10
const MAX_CHANNELS = 20
const MAX_CHANNEL = 100

export const STEP_KEYS = ['after', 'approvers', 'channels'] as const

interface Terms extends Pick<ApprovalTerms, 'timeoutMs' | 'onTimeout'> {
  /** The rule names no approvers: everybody may vote already. */
  isOpen: boolean
  readApprovers: (place: Place) => string[]
}

/** Reads the steps, each later than the one before. Without `after`, it is the timeout that takes a step. */
export function readEscalation(place: Place, terms: Terms): ApprovalTerms['escalation'] {
  const items = place.items() ?? []
  if (items.length === 0 && Array.isArray(place.value)) place.fail('the list is empty')
  if (items.length > MAX_STEPS) {
    place.fail(`there may be at most ${MAX_STEPS} steps`)
    return []
  }
  let last = 0
  return items.flatMap((item) => {
    const fields = item.fields(STEP_KEYS)
    if (!fields) return []
    const afterMs = fields.after ? readAfter(fields.after, terms, last) : terms.timeoutMs
    if (!fields.after && terms.onTimeout === 'deny') item.missing('after')
    if (!fields.approvers && !fields.channels) item.fail('a step names approvers, channels or both')
    if (fields.approvers && terms.isOpen)
      fields.approvers.fail('every approver may vote already: name "approvers" in the rule, or only channels here')
    if (afterMs === undefined) return []
    last = afterMs
    const approvers = fields.approvers ? readNamed(fields.approvers, terms.readApprovers) : []
    return [{ afterMs, approvers, channels: fields.channels ? readNamed(fields.channels, readChannels) : [] }]
  })
}

function readAfter(place: Place, { timeoutMs }: Terms, last: number): number | undefined {
  const afterMs = place.duration('1s', '30d')
  if (afterMs === undefined) return undefined
  if (afterMs >= timeoutMs)
    return place.fail(
      `this must be shorter than the timeout, ${formatDuration(timeoutMs)}; with onTimeout: escalate, leave "after" out of a step that the timeout takes`,
    )
  if (afterMs <= last) return place.fail(`a step comes later than the one before it, at ${formatDuration(last)}`)
  return afterMs
}

/** One text or a list of at least one. */
function readNamed(place: Place, read: (place: Place) => string[]): string[] {
  if (Array.isArray(place.value) && place.value.length === 0) place.fail('the list is empty')
  return read(place)
}

function readChannels(place: Place): string[] {
  const items = typeof place.value === 'string' ? [place] : (place.items() ?? [])
  if (items.length > MAX_CHANNELS) place.fail(`there may be at most ${MAX_CHANNELS} channels`)
  const ids = items.flatMap((item) => {
    const id = item.text(MAX_CHANNEL)
    if (id === undefined) return []
    if (/^\s|\s$|\p{Cc}/u.test(id)) item.fail('a channel is the id of a channel or of a webhook endpoint')
    return [id]
  })
  return [...new Set(ids)]
}
