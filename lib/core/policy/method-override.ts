import type { HttpAction } from './action.ts'

/** The methods that a request may be taken for, in capitals, its own first. */
export interface Methods {
  names: string[]
  /** It asks for another method in a way that cannot be read: it may be any. */
  areOpen: boolean
}

/** Names of headers, with a hyphen for whatever is no letter: gateways (CGI, WSGI) make them one. */
const HEADERS = ['x-http-method-override', 'x-http-method', 'x-method-override']
/** A name that frameworks take for `_method`; PHP makes an underscore of a dot, and ignores what stands in brackets. */
const FIELD = /^\s*[._]method\s*(?:\[|$)/i
/** The same in a text of any kind: a form, JSON, YAML, the head of a part; or cut off there. */
const MENTION = /(?:^|\W)[._]method(?:[\s"'=:[&;]|$)/i
/** Nobody asks for so many; each is compared with every rule. */
const MAX_NAMES = 8

export function methodsOf({ http: { method, headers, body, target } }: HttpAction): Methods {
  const values: unknown[] = []
  let areOpen = target.queryValues === null && mentionsMethod(target.query ?? '')
  for (const name of Object.keys(headers))
    if (name.includes('method') && HEADERS.includes(name.replace(/[^a-z]/g, '-')))
      for (const value of headers[name] ?? []) values.push(...value.split(','))
  collect(target.queryValues ?? {}, values)
  if (body.state === 'whole') {
    if (typeof body.value === 'string') areOpen ||= mentionsMethod(body.value)
    else if (typeof body.value === 'object' && body.value !== null) collect(body.value, values)
  } else if (body.state !== 'none') areOpen ||= body.mayOverrideMethod === true

  const own = method.trim().toUpperCase()
  if (values.length === 0) return { names: [own], areOpen }
  const names = new Set([own])
  for (const text of textsIn(values)) names.add(text.trim().toUpperCase())
  return { names: [...names].slice(0, MAX_NAMES), areOpen: areOpen || names.size > MAX_NAMES }
}

function collect(fields: object, into: unknown[]): void {
  for (const name of Object.keys(fields)) if (FIELD.test(name)) into.push((fields as Record<string, unknown>)[name])
}

function textsIn(values: readonly unknown[]): string[] {
  const texts: string[] = []
  const queue = [...values]
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (typeof value === 'string') texts.push(value)
    else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) queue.push(inner)
  }
  return texts
}

/**
 * Whether a text that is not read as what it is may ask for another method: a field `_method` seems to stand in it,
 * percent-encoded (RFC 3986), escaped as in JSON (RFC 8259) and in wide characters too. Linear in the length.
 */
export const mentionsMethod = (text: string): boolean =>
  MENTION.test(
    text
      .replaceAll('\0', '')
      .replace(/(?:%|\\u00)([2-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  )
