import type { Json, JsonObject } from './canonical-json.ts'
import { CountersignError } from './errors.ts'

/** What ends a string, or cannot stand in one as it is. */
const STRING_END = /["\\]|[^ -\uffff]/g
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y
const LITERALS = new Map<string | undefined, { word: string; value: Json }>([
  ['t', { word: 'true', value: true }],
  ['f', { word: 'false', value: false }],
  ['n', { word: 'null', value: null }],
])

/**
 * JSON (RFC 8259) for bodies that are fingerprinted: what two readers could read in two ways is refused. That is a key
 * given twice, a number that a double does not hold as written, `__proto__` as a key, a lone surrogate, and nesting
 * past `maxDepth`. Linear in the length of the text.
 * Throws `invalid_body` with the path and the place; the message never repeats the text.
 */
export function parseStrictJson(text: string, { maxDepth = 64 } = {}): Json {
  const path: (string | number)[] = []
  let at = 0

  const refuse = (message: string, position = at): never => {
    const error = { path: pathText(path), message: `${message} (character ${position + 1})` }
    throw new CountersignError('invalid_body', { detail: 'The body is not JSON that can be judged.', errors: [error] })
  }
  const skipSpace = () => {
    const code = text.charCodeAt(at)
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return
    SPACE.lastIndex = at
    SPACE.test(text)
    at = SPACE.lastIndex
  }
  const take = (char: string): boolean => {
    if (text[at] !== char) return false
    at++
    return true
  }

  const readString = (): string => {
    const start = at++
    let isPlain = true
    for (;;) {
      STRING_END.lastIndex = at
      const end = STRING_END.exec(text)
      if (!end) return refuse('the string does not end', start)
      at = end.index + 1
      if (end[0] === '"') break
      isPlain = false
      if (end[0] === '\\') at++
    }
    let value = text.slice(start + 1, at - 1)
    // JSON.parse knows the escapes and the control characters that a string may not hold.
    if (!isPlain) {
      try {
        value = JSON.parse(text.slice(start, at)) as string
      } catch {
        return refuse('the string holds a bad escape or a control character', start)
      }
    }
    return value.isWellFormed() ? value : refuse('the string holds half a character', start)
  }

  const readNumber = (): number => {
    NUMBER.lastIndex = at
    const found = NUMBER.exec(text)
    if (!found) return refuse('this is not JSON')
    const number = Number(found[0])
    const isInteger = found[1] === undefined && found[2] === undefined
    if (isInteger ? !Number.isSafeInteger(number) : !isHeldExactly(found[0], number))
      return refuse('this number would lose digits: send it as a string')
    at += found[0].length
    return number
  }

  const readArray = (depth: number): Json[] => {
    const items: Json[] = []
    at++
    skipSpace()
    if (take(']')) return items
    for (;;) {
      path.push(items.length)
      items.push(readValue(depth))
      path.pop()
      if (take(',')) continue
      if (take(']')) return items
      refuse('expected a comma or the end of the array')
    }
  }

  const readObject = (depth: number): JsonObject => {
    const object: JsonObject = {}
    at++
    skipSpace()
    if (take('}')) return object
    for (;;) {
      skipSpace()
      if (text[at] !== '"') refuse('expected a key in double quotes')
      const start = at
      const key = readString()
      path.push(key)
      if (key === '__proto__') refuse('this key is not allowed', start)
      if (Object.hasOwn(object, key)) refuse('this key is given twice', start)
      skipSpace()
      if (!take(':')) refuse('expected a colon after the key')
      object[key] = readValue(depth)
      path.pop()
      if (take(',')) continue
      if (take('}')) return object
      refuse('expected a comma or the end of the object')
    }
  }

  /** Reads one value and the space around it. */
  const readValue = (depth: number): Json => {
    skipSpace()
    const value = readBare(depth)
    skipSpace()
    return value
  }
  const readBare = (depth: number): Json => {
    const char = text[at]
    if (char === '"') return readString()
    if (char === '{' || char === '[') {
      if (depth >= maxDepth) return refuse(`nested deeper than ${maxDepth} levels`)
      return char === '{' ? readObject(depth + 1) : readArray(depth + 1)
    }
    const literal = LITERALS.get(char)
    if (!literal || !text.startsWith(literal.word, at)) return readNumber()
    at += literal.word.length
    return literal.value
  }

  const value = readValue(0)
  return at === text.length ? value : refuse('there is more after the end of the JSON')
}

/** True when printing the double gives the literal's digits again, so that no two literals become one number. */
const isHeldExactly = (literal: string, number: number): boolean =>
  String(number) === literal || (Number.isFinite(number) && decimal(literal) === decimal(String(number)))

/** One spelling for all spellings of a decimal, sign aside: `1.50e3` and `1500` are both `15e2`. */
function decimal(literal: string): string {
  const [mantissa = '', exponent = '0'] = literal.replace(/^-/, '').toLowerCase().split('e', 2)
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = whole + fraction
  let first = 0
  let end = digits.length
  while (digits[first] === '0') first++
  while (end > first && digits[end - 1] === '0') end--
  if (first === end) return '0'
  return `${digits.slice(first, end)}e${Number(exponent) - fraction.length + (digits.length - end)}`
}

/** `args.items[2].amount`; keys that are no plain names are left out, because a path must not repeat the body. */
const pathText = (path: readonly (string | number)[]): string =>
  path
    .map((step) => (typeof step === 'number' ? `[${step}]` : /^[A-Za-z_]{1,40}\d{0,2}$/.test(step) ? `.${step}` : '.…'))
    .join('')
    .replace(/^\./, '')
