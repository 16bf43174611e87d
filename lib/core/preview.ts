import type { Json } from './canonical-json.ts'
import { unicodeEscapes } from './printable.ts'
import { type Bounds, redacted, redactedText } from './redaction.ts'

export interface Preview {
  /** The redacted arguments as JSON text. */
  preview: string
  /** True when something was left out; masked secrets do not count. */
  truncated: boolean
}

/** Tried in turn until the whole fits: the tighter, the more places get a share. */
const TIGHTNESS = [
  { string: 4_096, items: 200, depth: 16 },
  { string: 1_024, items: 100, depth: 12 },
  { string: 256, items: 60, depth: 8 },
  { string: 64, items: 40, depth: 6 },
  { string: 24, items: 12, depth: 4 },
  { string: 16, items: 3, depth: 3 },
] as const

/** Bytes of `\\u202e`, the longest way that one character is written. */
const LONGEST_CHARACTER = 6

/** Would change how text is shown: C1 controls, direction marks, invisible characters. JSON text can escape them. */
const INVISIBLE = /[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g

/**
 * What approvers see of the arguments: secrets masked (see redaction.ts), long strings, lists and depths cut with a
 * note of how much was left out. Always valid JSON, at most `maxBytes` of UTF-8 (64 at least).
 */
export function previewOf(args: Json, { maxBytes = 8_192 } = {}): Preview {
  for (const limits of TIGHTNESS) {
    const isLast = limits === TIGHTNESS.at(-1)
    const bounds: Bounds = { ...limits, left: isLast ? maxBytes / LONGEST_CHARACTER : maxBytes, truncated: false }
    const preview = jsonText(redacted(args, bounds))
    if (Buffer.byteLength(preview) <= maxBytes && (bounds.left > 0 || isLast))
      return { preview, truncated: bounds.truncated }
  }
  return { preview: '"…too large to show"', truncated: true }
}

const jsonText = (value: Json): string => JSON.stringify(value).replace(INVISIBLE, unicodeEscapes)

const MAX_SUMMARY = 200
const MAX_TOOL = 100

/** One line of at most 200 characters, secrets masked: `stripe.refund  amount=5000 charge="ch_1"`. */
export function summaryOf(tool: string, args: Json): string {
  const bounds: Bounds = { string: 80, items: 20, depth: 4, left: MAX_SUMMARY * 2, truncated: false }
  const shown = redacted(args, bounds)
  const words =
    typeof shown === 'object' && shown !== null && !Array.isArray(shown)
      ? Object.entries(shown).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      : [JSON.stringify(shown)]
  const name = shortened(oneLine(redactedText(tool.slice(0, MAX_TOOL * 2))), MAX_TOOL)
  return shortened(oneLine(`${name}  ${words.join(' ')}`).trimEnd(), MAX_SUMMARY)
}

/** Without control characters, direction marks and invisible characters. */
const oneLine = (text: string): string =>
  text
    .replace(INVISIBLE, '')
    .replace(/\p{Cc}+/gu, ' ')
    .replace(/\p{Surrogate}/gu, '\ufffd')

function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text
  const end = /[\ud800-\udbff]/.test(text[limit - 2] ?? '') ? limit - 2 : limit - 1
  return `${text.slice(0, end)}…`
}

/** Free text, such as a reason or a detail, with every secret in it masked. */
export const redactText = (text: string): string => redactedText(text)
