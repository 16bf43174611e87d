import type { Notification } from './notification.ts'
import type { ApprovalView } from './view.ts'

/** Room for the links of callbacks stays below 20,000 bytes. */
const MAX_BYTES = 18_000

/** Tried in turn until the whole fits. The last fits always: fewer than a hundred texts, six bytes a character. */
const TIGHTNESS = [
  { text: 4_000, items: 100 },
  { text: 1_000, items: 50 },
  { text: 250, items: 20 },
  { text: 64, items: 8 },
  { text: 20, items: 3 },
] as const
interface Limits {
  text: number
  items: number
}

/** Ours, and short: receivers compare them. */
const WHOLE = /^(id|fingerprint|revision|status|kind|risk|at)$|At$/

export interface WebhookBody {
  type: string
  timestamp: string
  data: unknown
  /** Something was left out or cut; the record has the whole. */
  truncated?: true
  escalation?: { step: number }
}

/**
 * What a webhook is sent of a notification, as JSON text of at most 18,000 bytes: `{type, timestamp, data}`, `data` being
 * the record as it stood. What is too long is cut, and `truncated` says so.
 */
export function webhookBody({ type, at, approval, escalation }: Notification): string {
  const textOf = (data: unknown, truncated: boolean) =>
    JSON.stringify({
      type,
      timestamp: new Date(at).toISOString(),
      data,
      ...(escalation ? { escalation: { step: escalation.step } } : {}),
      ...(truncated ? { truncated: true } : {}),
    } satisfies WebhookBody)
  const whole = textOf(approval, false)
  if (fits(whole)) return whole
  for (const limits of TIGHTNESS) {
    const text = textOf(cutView(approval, limits), true)
    if (fits(text)) return text
  }
  return textOf({ id: approval.id, tenant: cutText(approval.tenant, 64), status: approval.status }, true)
}

const fits = (text: string): boolean => Buffer.byteLength(text) <= MAX_BYTES

function cutView({ suggestion: _, history: __, ...view }: ApprovalView, limits: Limits): unknown {
  const { preview, ...action } = view.action
  const isCut = preview.length > limits.text
  return {
    ...cutFields(view, limits),
    action: {
      ...cutFields(action, limits),
      // Half of JSON is none: what is left of it is a JSON string.
      preview: isCut ? JSON.stringify(cutText(preview, limits.text)) : preview,
      previewTruncated: action.previewTruncated || isCut,
    },
  }
}

const cutFields = (value: object, limits: Limits): object =>
  Object.fromEntries(Object.entries(value).map(([name, item]) => [name, cut(item, limits, name)]))

function cut(value: unknown, limits: Limits, key = ''): unknown {
  if (typeof value === 'string') return WHOLE.test(key) ? value : cutText(value, limits.text)
  if (Array.isArray(value)) return value.slice(0, limits.items).map((item) => cut(item, limits))
  return typeof value === 'object' && value !== null ? cutFields(value, limits) : value
}

/** Never half of a surrogate pair. */
function cutText(text: string, length: number): string {
  if (text.length <= length) return text
  return `${text.slice(0, length).replace(/[\ud800-\udbff]$/, '')}…`
}
