import type { Json, JsonObject } from '../../../lib/core/canonical-json.ts'
import type { HttpAction, PolicyAction, RequestBody } from '../../../lib/core/policy/action.ts'
import { LEVELS } from '../../../lib/core/policy/policy.ts'
import type { Place } from '../../../lib/core/policy/source.ts'
import { normaliseUrl } from '../../../lib/core/policy/target.ts'

const MAX_NAME = 200
const MAX_TEXT = 500
const MAX_URL = 16_384
const MAX_DEPTH = 64
const TOOL_KEYS = ['tool', 'server', 'args', 'annotations', 'trusted'] as const
const HTTP_KEYS = ['method', 'url', 'upstream', 'headers', 'body', 'bodyState'] as const
const COMMON_KEYS = ['agent', 'context'] as const
type Fields = Partial<Record<(typeof TOOL_KEYS)[number] | (typeof HTTP_KEYS)[number], Place>>

/**
 * An action as a file writes it: `{tool, args}` as `POST /v1/actions` takes it, `{server, tool, args}` for MCP, and
 * `{method, url, headers, body}` for HTTP, each with `agent` and `context`. What is wrong is told at its place; then
 * undefined.
 */
export function readAction(place: Place): PolicyAction | undefined {
  const fields = place.fields([...TOOL_KEYS, ...HTTP_KEYS, ...COMMON_KEYS])
  if (!fields) return undefined
  const acting = { agent: readAgent(fields.agent), context: readContext(fields.context) }
  const isHttp = fields.url !== undefined || fields.method !== undefined
  for (const key of isHttp ? TOOL_KEYS : HTTP_KEYS)
    fields[key]?.fail(`"${key}" does not go with "${isHttp ? 'method' : 'tool'}": an action is one or the other`)
  if (isHttp) {
    const http = readHttp(fields, place)
    return http && { kind: 'http', http, ...acting }
  }
  const tool = fields.tool ? fields.tool.text(MAX_NAME) : place.missing('tool')
  const args = fields.args ? readObject(fields.args) : {}
  const server = fields.server?.text(MAX_NAME)
  const annotations = fields.annotations ? readObject(fields.annotations) : null
  const trusted = fields.trusted ? readBoolean(fields.trusted) : false
  for (const key of ['annotations', 'trusted'] as const)
    if (!fields.server) fields[key]?.fail(`"${key}" goes with "server", which makes it an MCP call`)
  if (tool === undefined || args === undefined || annotations === undefined || trusted === undefined) return undefined
  if (!fields.server) return { kind: 'tool', tool, args, ...acting }
  return server === undefined
    ? undefined
    : { kind: 'mcp', mcp: { server, tool, annotations, trusted }, args, ...acting }
}

function readHttp(fields: Fields, place: Place): HttpAction['http'] | undefined {
  const method = fields.method ? fields.method.text(MAX_NAME) : place.missing('method')
  const url = fields.url ? fields.url.text(MAX_URL) : place.missing('url')
  const upstream = fields.upstream ? fields.upstream.text(MAX_NAME) : null
  const headers = fields.headers ? readHeaders(fields.headers) : {}
  const body = readBody(fields)
  const normalised = url === undefined ? undefined : normaliseUrl(url)
  if (normalised && !normalised.ok) fields.url?.fail(`the gate refuses this target: ${normalised.reason}`)
  if (method === undefined || upstream === undefined || !headers || !body || !normalised?.ok) return undefined
  return { upstream, method, target: normalised.target, headers, body }
}

function readHeaders(place: Place): Record<string, string[]> | undefined {
  const object = readObject(place)
  if (!object) return undefined
  const headers: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(object)) {
    const values = Array.isArray(value) ? value : [value]
    if (!values.every((each) => typeof each === 'string')) return place.fail(`the header "${name}" must be text`)
    headers[name.toLowerCase()] = values
  }
  return headers
}

/** `body` is one that was read whole; `bodyState` stands for what cannot be judged. */
function readBody({ body, bodyState }: Fields): RequestBody | undefined {
  if (bodyState) {
    if (body) return bodyState.fail('give "body" or "bodyState"')
    const state = bodyState.oneOf(['partly', 'unjudgeable'])
    return state && { state }
  }
  if (!body) return { state: 'none' }
  const fault = jsonFault(body.value, MAX_DEPTH)
  return fault === undefined ? { state: 'whole', value: body.value as Json } : body.fail(fault)
}

/** A name, or `{name, type, autonomy}`. */
function readAgent(place: Place | undefined): PolicyAction['agent'] {
  if (!place) return { name: 'agent' }
  if (typeof place.value === 'string') return { name: place.text(MAX_NAME) ?? '' }
  const fields = place.fields(['name', 'type', 'autonomy'])
  const type = fields?.type?.text(MAX_NAME)
  const autonomy = fields?.autonomy?.oneOf(LEVELS)
  return {
    name: (fields && !fields.name ? place.missing('name') : fields?.name?.text(MAX_NAME)) ?? '',
    ...(type === undefined ? {} : { type }),
    ...(autonomy === undefined ? {} : { autonomy }),
  }
}

function readContext(place: Place | undefined): PolicyAction['context'] {
  // No rule looks at the summary, but calls that somebody kept have one.
  const fields = place?.fields(['session', 'user', 'risk', 'labels', 'autonomy', 'summary'])
  fields?.summary?.text(MAX_TEXT)
  const labels = fields?.labels?.items()?.flatMap((item) => item.text(MAX_NAME) ?? [])
  return {
    session: fields?.session?.text(MAX_NAME) ?? null,
    user: fields?.user?.text(MAX_NAME) ?? null,
    risk: fields?.risk?.text(MAX_NAME) ?? null,
    labels: labels ?? null,
    autonomy: fields?.autonomy?.text(MAX_NAME) ?? null,
  }
}

const readBoolean = (place: Place): boolean | undefined =>
  typeof place.value === 'boolean' ? place.value : place.fail('this must be true or false')

function readObject(place: Place): JsonObject | undefined {
  const { value } = place
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return place.fail('this must be a mapping')
  const fault = jsonFault(value, MAX_DEPTH)
  return fault === undefined ? (value as JsonObject) : place.fail(fault)
}

/** Why a value of a YAML file is none that a call can carry; undefined when it is one. */
function jsonFault(value: unknown, depth: number): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return 'it holds a number that JSON does not know'
    return Number.isInteger(value) && !Number.isSafeInteger(value)
      ? 'it holds a number that cannot be held exactly: write it as text'
      : undefined
  }
  if (typeof value !== 'object') return 'it holds what JSON does not know'
  if (depth === 0) return `it is nested deeper than ${MAX_DEPTH} levels`
  for (const inner of Object.values(value as Record<string, Json>)) {
    const fault = jsonFault(inner, depth - 1)
    if (fault !== undefined) return fault
  }
  return undefined
}
