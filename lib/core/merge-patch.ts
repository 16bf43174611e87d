import { isJsonObject, type Json } from './canonical-json.ts'

/** JSON merge patch (RFC 7396): returns a new value, changes neither argument. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isJsonObject(patch)) return patch
  const result = new Map<string, Json>(Object.entries(isJsonObject(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else result.set(key, mergePatch(result.get(key) ?? null, value))
  }
  return Object.fromEntries(result)
}
