import { Response } from 'undici'
import type { Json, JsonObject } from '../../../lib/core/canonical-json.ts'
import type { RequestBody } from '../../../lib/core/policy/action.ts'
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
export async function readBody(peeked: Peeked, headers: Readonly<Record<string, string[]>>): Promise<ReadBody> {
  const { bytes, whole } = peeked
  if (peeked.framing === 'none' || (whole && bytes.length === 0)) return NONE
  const [type = '', ...more] = headers['content-type'] ?? []
  const encoding = headers['content-encoding'] ?? []
  const said = { bytes: bytes.length, ...(type === '' ? {} : { type }), ...(encoding.length === 0 ? {} : { encoding }) }
  if (!whole) return partly(peeked, type, encoding, said)
  const data = decoded(bytes, encoding)
  const read = data === undefined || more.length > 0 ? undefined : await readAs(mediaTypeOf(type), type, data)
  if (!read) {
    const text = data === undefined ? undefined : textOf(data)
    const shown = { unreadable: said, ...(text === undefined ? {} : { text }) }
    return { judged: { state: 'unjudgeable' }, shown, isJson: false, cut: text === undefined }
  }
  const { value, isJson = false, shown = value } = read
  return { judged: { state: 'whole', value }, shown, isJson: isJson && encoding.length === 0, cut: false }
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

type Read = { value: Json; isJson?: boolean; shown?: Json }

const isJsonType = ({ essence }: MediaType): boolean => /^(?:application|text)\/(?:[\w.!#$&^-]+\+)?json$/.test(essence)
const TEXTS =
  /^(?:text\/[\w.+-]+|application\/(?:graphql|sql|xml|x-ndjson|ndjson|javascript|yaml|x-yaml|[\w.-]+\+(?:xml|yaml)))$/

async function readAs(type: MediaType, header: string, data: Buffer): Promise<Read | undefined> {
  if (type.essence === 'multipart/form-data') return readMultipart(header, data)
  if (!['', 'utf-8', 'utf8', 'us-ascii'].includes(type.charset)) return undefined
  const text = textOf(data)
  if (text === undefined) return undefined
  // Servers there are that read JSON whatever its type says.
  if (isJsonType(type) || /^\s*[[{]/.test(text)) {
    const value = jsonOf(text)
    return value === undefined ? undefined : { value, isJson: true }
  }
  if (type.essence === 'application/x-www-form-urlencoded') {
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
function partly({ bytes }: Peeked, type: string, encoding: readonly string[], said: JsonObject): ReadBody {
  const beginning = { ...said, bytes: `more than ${bytes.length}` }
  const shown: JsonObject = { unread: beginning }
  if (mediaTypeOf(type).essence === 'multipart/form-data') shown.parts = partsIn(bytes)
  else if (encoding.length === 0) {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: true })
    if (!/[\0\ufffd]/.test(text)) shown.text = text
  }
  return { judged: { state: 'partly' }, shown, isJson: false, cut: true }
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
