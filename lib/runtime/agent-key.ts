import type { IncomingHttpHeaders } from 'node:http'

const SECRET = /^[\x21-\x7e]{8,256}$/

/** The secret of an `Authorization: Bearer` header (RFC 6750, 2.1); undefined when it holds none. */
export const bearerOf = (authorization: string): string | undefined =>
  /^Bearer +([\x21-\x7e]{8,256})$/i.exec(authorization)?.[1]

/**
 * The secret of a call that is on its way to somewhere else, where `Authorization` may be meant for that place:
 * `Countersign-Key` goes before it, and `x-api-key` is the last that may hold it. Null when what should hold it does
 * not; undefined when nothing could.
 */
export function agentSecretOf(headers: IncomingHttpHeaders): string | null | undefined {
  const own = headers['countersign-key']
  if (own !== undefined) return typeof own === 'string' && SECRET.test(own) ? own : null
  const { authorization } = headers
  const bearer = authorization === undefined ? undefined : bearerOf(authorization)
  if (bearer !== undefined) return bearer
  const apiKey = headers['x-api-key']
  if (typeof apiKey === 'string' && SECRET.test(apiKey)) return apiKey
  return authorization === undefined ? undefined : null
}
