import { isJsonObject, type Json, type JsonObject } from '../../../lib/core/canonical-json.ts'

/** Headers that repeat arguments of a call (MCP 2026-07-28, `x-mcp-header`). */
export const PARAM_HEADER = 'mcp-param-'

const MAX_PARAMS = 64
const MAX_DEPTH = 8

/** Which arguments a tool wants repeated: the paths to them, by the header's name in lower case without its prefix. */
export type DeclaredParams = ReadonlyMap<string, readonly string[]>

export function declaredParams({ inputSchema }: JsonObject): DeclaredParams {
  const found = new Map<string, readonly string[]>()
  const visit = (schema: Json | undefined, path: readonly string[]): void => {
    if (!isJsonObject(schema) || path.length > MAX_DEPTH || found.size >= MAX_PARAMS) return
    const name = schema['x-mcp-header']
    if (typeof name === 'string') found.set(name.toLowerCase(), path)
    if (isJsonObject(schema.properties))
      for (const [key, property] of Object.entries(schema.properties)) visit(property, [...path, key])
  }
  visit(inputSchema, [])
  return found
}

/** The first header that repeats no argument, or another value; undefined when all say what the call says. */
export function strayParam(
  headers: Readonly<Record<string, string>>,
  args: JsonObject,
  declared: DeclaredParams | undefined,
): string | undefined {
  return paramHeaders(headers).find((name) => {
    const path = declared?.get(name.slice(PARAM_HEADER.length))
    return path === undefined || !says(decodedHeader(headers[name] ?? ''), valueAt(args, path))
  })
}

export const paramHeaders = (headers: Readonly<Record<string, string>>): string[] =>
  Object.keys(headers).filter((name) => name.startsWith(PARAM_HEADER))

/** Text that no header can have comes in base64. */
export function decodedHeader(text: string): string {
  const encoded = /^=\?base64\?([A-Za-z0-9+/=]*)\?=$/.exec(text.trim())?.[1]
  return encoded === undefined ? text.trim() : Buffer.from(encoded, 'base64').toString('utf8')
}

function says(text: string, value: Json | undefined): boolean {
  if (typeof value === 'number') return /^-?\d+(\.\d+)?$/.test(text) && Number(text) === value
  return typeof value === 'boolean' ? text === String(value) : text === value
}

function valueAt(args: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = args
  for (const key of path) value = isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return value
}
