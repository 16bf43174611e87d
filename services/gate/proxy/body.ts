import { Response } from 'undici'
import type { Json, JsonObject } from '../../../lib/core/canonical-json.ts'
import type { RequestBody } from '../../../lib/core/policy/action.ts'
import { mentionsMethod } from '../../../lib/core/policy/method-override.ts'
import { parseStrictJson } from '../../../lib/core/strict-json.ts'
import { decoded } from './coding.ts'
import { fieldValue, nested, readForm } from './form.ts'
import type { Peeked } from './peek.ts'

/** A body as rules judge it, and as a person sees it. */
export interface ReadBody {
  judged: RequestBody
  /** Undefined where there is none. */
  shown: Json | undefined
  /** True when `judged` is JSON that stands in the body as such: an approver may change it. */
  isJson: boolean
  /** Bytes of it are not in `shown`. */
  cut: boolean
}

const NONE: ReadBody = { judged: { state: 'none' }, shown: undefined, isJson: false, cut: false }

/** Reads what was peeked by its declared type. What has two readings is not to be judged. */
export function readBody(peeked: Peeked, headers: Readonly<Record<string, string[]>>): ReadBody | Promise<ReadBody> {
  const { bytes, whole } = peeked
  if (peeked.framing === 'none' || (whole && bytes.length === 0)) return NONE
  const [type = '', ...more] = headers['content-type'] ?? []
  const encoding = headers['content-encoding'] ?? []
  const said = { bytes: bytes.length, ...(type === '' ? {} : { type }), ...(encoding.length === 0 ? {} : { encoding }) }
  if (!whole) return partly(peeked, type, encoding, said)
  const data = decoded(bytes, encoding)
  const asRead = (read: Read | undefined): ReadBody => {
    if (!read) {
      const text = data === undefined ? undefined : textOf(data)
      const shown = { unreadable: said, ...(text === undefined ? {} : { text }) }
      const mayOverrideMethod = mayOverride(peeked, type, data === undefined)
      return { judged: { state: 'unjudgeable', mayOverrideMethod }, shown, isJson: false, cut: text === undefined }
    }
    const { value, isJson = false } = read
    return { judged: { state: 'whole', value }, shown: value, isJson: isJson && encoding.length === 0, cut: false }
  }
  if (data === undefined || more.length > 0) return asRead(undefined)
  const media = mediaTypeOf(type)
  return media.essence === MULTIPART ? readMultipart(type, data).then(asRead) : asRead(readAs(media, data))
}

interface MediaType {
  essence: string
  charset: string
}

function mediaTypeOf(header: string): MediaType {
  const [essence = '', ...parameters] = header.split(';')
  const charsets = parameters.flatMap((each) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/i.exec(each)?.[1] ?? [])
  return { essence: essence.trim().toLowerCase(), charset: charsets.join(' ').toLowerCase() }
}

type Read = { value: Json; isJson?: boolean }

const FORM = 'application/x-www-form-urlencoded'
const MULTIPART = 'multipart/form-data'

const isJsonType = ({ essence }: MediaType): boolean => /^(?:application|text)\/(?:[\w.!#$&^-]+\+)?json$/.test(essence)
const TEXTS =
  /^(?:text\/[\w.+-]+|application\/(?:graphql|sql|xml|x-ndjson|ndjson|javascript|yaml|x-yaml|[\w.-]+\+(?:xml|yaml)))$/

const isPlainCharset = ({ charset }: MediaType): boolean => ['', 'utf-8', 'utf8', 'us-ascii'].includes(charset)

function readAs(type: MediaType, data: Buffer): Read | undefined {
  if (!isPlainCharset(type)) return undefined
  const text = textOf(data)
  if (text === undefined) return undefined
  // Servers there are that read JSON whatever its type says.
  if (isJsonType(type) || /^\s*[[{]/.test(text)) {
    const value = jsonOf(text)
    return value === undefined ? undefined : { value, isJson: true }
  }
  if (type.essence === FORM) {
    const value = readForm(text)
    return value === undefined ? undefined : { value }
  }
  return TEXTS.test(type.essence) ? { value: text } : undefined
}

function jsonOf(text: string): Json | undefined {
  try {
    return parseStrictJson(text)
  } catch {
    return undefined
  }
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(data: Buffer): string | undefined {
  try {
    return UTF_8.decode(data)
  } catch {
    return undefined
  }
}

/** Fields by their names; of a file its name, type and size (RFC 7578). */
async function readMultipart(header: string, data: Buffer): Promise<Read | undefined> {
  try {
    const form = await new Response(data, { headers: { 'content-type': header } }).formData()
    const fields: [string, Json][] = []
    for (const [name, value] of form.entries())
      fields.push([
        name,
        typeof value === 'string' ? fieldValue(value) : { filename: value.name, type: value.type, bytes: value.size },
      ])
    const value = nested(fields)
    return value === undefined ? undefined : { value }
  } catch {
    return undefined
  }
}

/** Of a body that is too long, a person sees its beginning, or the names of its parts. */
function partly(peeked: Peeked, type: string, encoding: readonly string[], said: JsonObject): ReadBody {
  const { bytes } = peeked
  const beginning = { ...said, bytes: `more than ${bytes.length}` }
  const shown: JsonObject = { unread: beginning }
  if (mediaTypeOf(type).essence === MULTIPART) shown.parts = partsIn(bytes)
  else if (encoding.length === 0) {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true })
    if (!/[\0\ufffd]/.test(text)) shown.text = text
  }
  const mayOverrideMethod = mayOverride(peeked, type, encoding.length > 0)
  return { judged: { state: 'partly', mayOverrideMethod }, shown, isJson: false, cut: true }
}

/**
 * Whether a body that is not read may ask for another method. Long forms are rare and hide it with ease; of long JSON and
 * of files only the beginning is looked at, so that an upload is not taken for every method there is.
 */
function mayOverride({ bytes, whole }: Peeked, header: string, isCoded: boolean): boolean {
  const type = mediaTypeOf(header)
  const isHidden = isCoded || !isPlainCharset(type)
  if (type.essence === FORM && (isHidden || !whole)) return true
  if (isHidden && (type.essence === MULTIPART || isJsonType(type))) return true
  return mentionsMethod(bytes.toString('latin1'))
}

const MAX_PARTS = 50

/** What the parts say of themselves, as far as it was read; for people alone. */
function partsIn(bytes: Buffer): Json[] {
  const found = bytes.toString('latin1').matchAll(/^content-disposition:\s*form-data;([^\r\n]{1,1000})/gim)
  return [...found].slice(0, MAX_PARTS).map(([, parameters = '']) => {
    const said = Buffer.from(parameters, 'latin1').toString('utf8')
    const part: JsonObject = {}
    for (const [, name = '', value = ''] of said.matchAll(/\b(name|filename)="([^"]{0,300})"/gi))
      part[name.toLowerCase()] = value
    return part
  })
}
