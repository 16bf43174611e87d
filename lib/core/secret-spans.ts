import { isSecretName, isSecretParameter } from './secret-name.ts'

/** A piece of a text that is to be masked: from `start` up to, not including, `end`. */
export type Span = readonly [start: number, end: number]

/** What issuers' tokens look like, wherever they stand. Every piece is bounded or greedy over one class: no backtracking. */
const SHAPES = new RegExp(
  [
    '(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}',
    'gh[pousr]_[A-Za-z0-9]{10,}',
    'github_pat_\\w{10,}',
    'gl(?:pat|ptt|dt|rt|cbt|oas|soat|ft|imt|agent)-[\\w-]{10,}',
    'xox[a-z]-[\\w-]{8,}',
    'xapp-[\\w-]{8,}',
    'hooks\\.slack\\.com/(?:services|workflows|triggers)/[\\w/]+',
    '(?:[spr]k|rak)_(?:live|test)_\\w{8,}',
    'whsec_[\\w+/=-]{8,}',
    '(?<![A-Za-z0-9])sk-[\\w-]{16,}',
    'AIza[\\w-]{20,}',
    'ya29\\.[\\w-]{8,}',
    'GOCSPX-[\\w-]{8,}',
    '(?<![A-Za-z0-9])cs[kt]_[\\w-]{8,}',
    'npm_[A-Za-z0-9]{20,}',
    'pypi-[\\w-]{16,}',
    '(?<![A-Za-z0-9])hf_[A-Za-z0-9]{16,}',
    'do[opr]_v1_[a-f0-9]{16,}',
    'shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,}',
    '(?<![A-Za-z0-9])SG\\.[\\w-]{16,}(?:\\.[\\w-]+)?',
    'AGE-SECRET-KEY-1[A-Z0-9]+',
    // A JWT, or the base64 of any JSON object that is long enough to be one cut short.
    '(?<![A-Za-z0-9])eyJ[\\w-]{5,}(?:\\.[\\w-]*){1,4}',
    '(?<![A-Za-z0-9])eyJ[\\w-]{40,}',
    // Of what follows the first line of a private key only what a key can be made of, so that nothing hides behind it.
    '-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\\w+/=\\\\:,.]|-(?!----END)|[ \\t"+]{0,9}[\\r\\n][ \\t"+]{0,40}|' +
      '\\s{0,9}(?:Proc-Type|DEK-Info|Version|Comment|Hash): [^\\r\\n]*|[ \\t]{1,9}(?=[\\w+/=]{32}|[\\w+/=]{0,76}[ \\t]{0,9}-----END))*' +
      '(?:\\s{0,9}-----END[A-Z0-9 ]{0,40}-----)?',
  ].join('|'),
  'g',
)
const AWS_ID = /(?:AKIA|ASIA)[A-Z0-9]{12,}/
const AWS_SECRET = /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g
const BEARER = /\bbearer[ \t]+([\w.~+/=-]{6,})/gi
const BASIC = /\bbasic[ \t]+([\w+/-]{6,}={0,2})/gi
const USER_INFO = /:\/\/([^\s/?#@:]*:[^\s/?#]*|[^\s/?#@:]{20,})@/g
/** The text was cut in what may be the password of a URL. */
const OPEN_USER_INFO = /:\/\/([^\s/?#@:]*:[^\s/?#@]*)$/
const ELEMENT = /<([A-Za-z][\w:.-]{0,99})(?:\s[^<>]{0,500})?>([^<]+)/g
const FLAG = /(?<![\w-])--?([A-Za-z][\w.-]{0,99})[ \t]+(?=[^\s;|&<>()-])/g
const SSHPASS = /\bsshpass[ \t]+-p[ \t]*(?=[^\s;|&])/g
const SEPARATOR = /[:=]|%3[ad]/gi

/**
 * What a shell would take for the next command or run inside a word. A value ends there at the latest: a rest of an odd
 * secret may then show, but no name hides a command from the approver.
 */
const COMMAND = /["'`]\s*(?:;|&&|\|)|[ \t](?:&&|\|\|?|;)[ \t]|;[ \t]|\$\(|`/
/** The same for cookies, which are joined by semicolons. */
const AFTER_QUOTE = /["'`]\s*(?:;|&&|\|)|\$\(|`/

type Add = (start: number, end: number, isCookie?: boolean) => void

/**
 * Where secrets stand in a text: known token shapes, and values that a secret name announces in headers, assignments,
 * flags, forms, query strings, JSON, YAML and XML. `open` says that the text was cut and goes on elsewhere.
 * The spans are sorted and do not overlap. Linear in the length of the text.
 */
export function secretSpans(text: string, open: boolean): Span[] {
  const spans: Span[] = []
  const add = (start: number, end: number, isCookie = false) => {
    const stop = (isCookie ? AFTER_QUOTE : COMMAND).exec(text.slice(start, end))
    if (end > start && stop?.index !== 0) spans.push([start, stop ? start + stop.index : end])
  }
  for (const found of matches(SHAPES, text)) spans.push([found.index, found.index + found[0].length])
  if (AWS_ID.test(text)) for (const found of matches(AWS_SECRET, text)) add(found.index, found.index + 40)
  for (const pattern of [BEARER, BASIC])
    for (const found of matches(pattern, text)) {
      const value = found[1] ?? ''
      const end = found.index + found[0].length
      if (pattern === BEARER || looksEncoded(value)) add(end - value.length, end)
    }
  for (const found of matches(USER_INFO, text)) add(found.index + 3, found.index + found[0].length - 1)
  const cut = open ? OPEN_USER_INFO.exec(lastWord(text)) : null
  if (cut) add(text.length - (cut[1] ?? '').length, text.length)
  for (const found of matches(ELEMENT, text))
    if (isSecretName(found[1] ?? ''))
      add(found.index + found[0].length - (found[2] ?? '').length, found.index + found[0].length)
  addFlags(text, add)
  addPairs(text, add)
  return merged(spans)
}

/** Every match of a global pattern. `matchAll` would compile the pattern anew each time, which costs more than the search. */
function* matches(pattern: RegExp, text: string): Generator<RegExpExecArray> {
  pattern.lastIndex = 0
  for (let found = pattern.exec(text); found; found = pattern.exec(text)) yield found
}

const lastWord = (text: string): string => text.slice(Math.max(text.lastIndexOf(' '), text.lastIndexOf('\n'), 0))

/** True for what is base64 rather than an English word. */
const looksEncoded = (value: string): boolean =>
  /[\d=+/]|[a-z][A-Z]/.test(value) || Buffer.from(value, 'base64').includes(':')

function merged(spans: Span[]): Span[] {
  spans.sort((a, b) => a[0] - b[0])
  const result: [number, number][] = []
  for (const [start, end] of spans) {
    const last = result.at(-1)
    if (last && start <= last[1]) last[1] = Math.max(last[1], end)
    else result.push([start, end])
  }
  return result
}

/** `--password hunter2`, `-u name:password`. */
function addFlags(text: string, add: Add): void {
  for (const found of matches(FLAG, text)) {
    const name = found[1] ?? ''
    const start = found.index + found[0].length
    const end = bareEnd(text, start)
    if (isSecretName(name)) add(start, end)
    else if (/^(?:u|user|proxy-user)$/i.test(name) && isUserAndPassword(text.slice(start, end))) add(start, end)
  }
  for (const found of matches(SSHPASS, text)) {
    const start = found.index + found[0].length
    add(start, bareEnd(text, start))
  }
}

export const isUserAndPassword = (text: string): boolean =>
  /^[^\s:/]*:[^/]/.test(text) && !/^["']?\d+:\d+["']?$/.test(text)

/** `name: value`, `name=value`, `"name": "value"` and their relatives. */
function addPairs(text: string, add: Add): void {
  // Looked up once a line: a line may be the whole text and hold thousands of names.
  let known = -1
  const lineEndAt = (at: number): number => {
    if (at > known) known = endOf(text, '\n', at)
    return known
  }
  SEPARATOR.lastIndex = 0
  for (let found = SEPARATOR.exec(text); found; found = SEPARATOR.exec(text)) {
    const name = nameBefore(text, found.index)
    if (!name) continue
    const sign = found[0] === ':' || found[0].toLowerCase() === '%3a' ? ':' : '='
    if (
      !(name.inUrl
        ? isSecretParameter(name.text)
        : isSecretName(name.text) || (sign === ':' && isSecretName(name.phrase)))
    )
      continue
    const [start, end] = valueAfter(text, found.index + found[0].length, sign, name, lineEndAt)
    add(start, end, isCookie(name))
    SEPARATOR.lastIndex = Math.max(end, SEPARATOR.lastIndex)
  }
}

interface Name {
  text: string
  /** The name with the word before it: `api key`. */
  phrase: string
  /** True for a parameter of a URL. */
  inUrl: boolean
  /** The name itself is in quotes, as in JSON. */
  quoted: boolean
  /** The quote that opens right before the name and is still open after it, as in `-H "Cookie: …"`. */
  within: string | undefined
  /** Nothing but an indent, a dash or a mark stands before it on its line. */
  first: boolean
}

const MAX_NAME = 200
const NAME_CHAR = /[\p{L}\p{N}_.%$@+[\]-]/u
const QUOTES = '"\'`'
const LINE_MARKS = ' \t\r>*<+-'

function nameBefore(text: string, separator: number): Name | undefined {
  const floor = Math.max(0, separator - MAX_NAME)
  let end = separator
  while (end > floor && isSpace(text.charCodeAt(end - 1))) end--
  let start = end
  const quote = QUOTES.includes(text[end - 1] ?? ' ') ? text[end - 1] : undefined
  if (quote !== undefined) {
    end--
    while (end > floor && text[end - 1] === '\\') end--
    start = end
    while (start > floor && text[start - 1] !== quote && text[start - 1] !== '\n') start--
  } else {
    while (start > floor && NAME_CHAR.test(text[start - 1] ?? ' ')) start--
  }
  if (start === end) return undefined
  const raw = decoded(text.slice(start, end))
  const own = raw.split(/[?&;#/\s]/).at(-1) ?? raw
  const before = text[start - 1] ?? '\n'
  return {
    text: quote === undefined ? own : raw,
    phrase: phraseAt(text, start, end),
    inUrl: before === '?' || before === '&' || (own !== raw && /[?&]/.test(raw)),
    quoted: quote !== undefined,
    within: quote === undefined && QUOTES.includes(before) ? before : undefined,
    first: startsLine(text, start),
  }
}

/** Looks back only so far, because a text may be one long line. */
function startsLine(text: string, start: number): boolean {
  let at = start
  while (at > 0 && start - at < 100 && LINE_MARKS.includes(text[at - 1] ?? '')) at--
  return at === 0 || text[at - 1] === '\n'
}

function phraseAt(text: string, start: number, end: number): string {
  if (text[start - 1] !== ' ') return ''
  let from = start - 1
  while (from > 0 && start - from < 40 && /[A-Za-z]/.test(text[from - 1] ?? ' ')) from--
  return text.slice(from, end)
}

/** Percent and JSON escapes undone, because `pass%77ord` and `\u0070assword` are names too. */
function decoded(name: string): string {
  const plain = name.replace(/\\+u([0-9a-fA-F]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return plain.replace(/%([0-7][0-9a-fA-F])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

const isSpace = (code: number): boolean => code === 32 || code === 9 || code === 10 || code === 13

const GAP = /[>=]?[ \t]*/y
const LINE_GAP = /[>=]?\s*/y
const OPENING = /[$@bBrRfFuU]?(\\*)(["'`])/y
const BARE = /(?:\\[^\n]|[^\s"'`;|&\\])*/y
const JSON_BARE = /[^\s,}\]]*/y
const COOKIES = /[^\s;"'`]*(?:;[ \t]*[^\s;"'`]+)*/y
const ANY_SCHEME = /(?:[A-Za-z][\w-]{0,30}[ \t]+)?/y
const SCHEME = /(?:(?:bearer|basic|token|digest|negotiate|apikey|hmac|jwt)[ \t]+)?/iy

const match = (pattern: RegExp, text: string, at: number): number => {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

const isCookie = (name: Name): boolean => /cookie/i.test(name.text)

/** The value that a name announces. */
function valueAfter(text: string, from: number, sign: ':' | '=', name: Name, lineEndAt: (at: number) => number): Span {
  const start = match(name.quoted ? LINE_GAP : GAP, text, from)
  OPENING.lastIndex = start
  const opening = OPENING.exec(text)
  // A shell runs what stands in backticks right behind an equals sign; elsewhere they quote.
  const quote = opening?.[2] === '`' && sign === '=' && start === from ? undefined : opening?.[2]
  if (opening && quote !== undefined && quote !== name.within) {
    const end = quotedEnd(text, OPENING.lastIndex, quote, (opening[1] ?? '').length)
    const inner = start + opening[0].length
    const rest = name.quoted ? end : bareEnd(text, Math.min(end + 1, text.length))
    return [inner, rest > end + 1 ? rest : end]
  }
  const first = text[start]
  if (name.quoted && (first === '{' || first === '[')) return [start, bracketEnd(text, start)]
  if (name.quoted) return [start, match(JSON_BARE, text, start)]
  if (sign === '=') return [start, match(BARE, text, start)]
  if (name.within !== undefined || name.first) {
    const lineEnd = lineEndAt(start)
    const limit = name.within === undefined ? lineEnd : quotedEnd(text, start, name.within, 0)
    if (isCookie(name)) return [start, Math.min(match(COOKIES, text, start), limit)]
    const value = text.slice(start, limit)
    if (/^(?:[|>][+-]?\d?)?\s*$/.test(value.slice(0, 20))) return [start, blockEnd(text, from, lineEnd)]
    return [start, limit]
  }
  if (isCookie(name)) return [start, match(COOKIES, text, start)]
  const scheme = match(/authorization/i.test(name.text) ? ANY_SCHEME : SCHEME, text, start)
  return [start, match(BARE, text, scheme)]
}

const endOf = (text: string, mark: string, from: number): number => {
  const found = text.indexOf(mark, from)
  return found < 0 ? text.length : found
}

/** The end of an unquoted word, or of the quoted one that begins here. */
function bareEnd(text: string, at: number): number {
  const quote = text[at]
  if (quote === '"' || quote === "'" || quote === '`')
    return Math.min(quotedEnd(text, at + 1, quote, 0) + 1, text.length)
  return match(BARE, text, at)
}

/** Where the closing quote stands, for a quote that was opened behind `escapes` backslashes; else the end of the text. */
function quotedEnd(text: string, from: number, quote: string, escapes: number): number {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + 1)) {
    let slashes = 0
    while (at - slashes > from && text[at - slashes - 1] === '\\') slashes++
    if (escapes === 0 ? slashes % 2 === 0 : slashes <= escapes) return at - (escapes === 0 ? 0 : slashes)
  }
  return text.length
}

/** The end of an object or array in JSON text, brackets in strings counted too: at worst more is masked. */
function bracketEnd(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const char = text[at]
    if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1
  }
  return text.length
}

/** The end of the indented lines below a YAML key. */
function blockEnd(text: string, name: number, lineEnd: number): number {
  const indent = indentAt(text, text.lastIndexOf('\n', name - 1) + 1)
  let end = lineEnd
  while (end < text.length) {
    const next = endOf(text, '\n', end + 1)
    if (text.slice(end + 1, next).trim() !== '' && indentAt(text, end + 1) <= indent) break
    end = next
  }
  return end
}

function indentAt(text: string, lineStart: number): number {
  let at = lineStart
  while (text[at] === ' ' || text[at] === '\t') at++
  return at - lineStart
}
