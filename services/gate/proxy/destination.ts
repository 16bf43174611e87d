import { CountersignError } from '../../../lib/core/errors.ts'
import { normaliseAt, type Target } from '../../../lib/core/policy/target.ts'
import type { Upstream } from '../../../lib/runtime/config/upstreams.ts'

export interface Destination {
  upstream: Upstream
  /** What is judged, and what is forwarded. */
  target: Target
}

export const PREFIX = '/proxy/'

/**
 * Where `/proxy/{upstream}/{path}` leads, from the request line as it came. The path is normalised by itself and put
 * behind the path of the upstream, so that no spelling of it gets out of there.
 * Throws `invalid_request` for a path that cannot be read in one way alone, `not_found` for an unknown upstream.
 */
export function destinationOf(url: string, upstreams: ReadonlyMap<string, Upstream>): Destination {
  if (!url.startsWith(PREFIX))
    throw refused(`The path must begin with ${PREFIX}, spelled like this, and an upstream's name.`)
  const rest = url.slice(PREFIX.length)
  const end = rest.search(/[/?]/)
  const name = end < 0 ? rest : rest.slice(0, end)
  const upstream = upstreams.get(name)
  if (!upstream)
    throw new CountersignError(
      'not_found',
      /^[A-Za-z0-9._@-]{1,64}$/.test(name)
        ? `No upstream is called ${name}: the configuration of this gate names those that there are.`
        : 'No upstream has this name.',
    )
  const { base } = upstream
  const place = end < 0 ? '' : rest.slice(end)
  const mark = place.indexOf('?')
  const path = mark < 0 ? place : place.slice(0, mark)
  if (climbs(path)) throw refused('The path climbs above the upstream.')
  const found = normaliseAt(base, path === '' ? `/${place}` : place)
  if (!found.ok) throw refused(`The gate cannot forward this: ${found.reason}.`)
  const { target } = found
  const joined = path === '' && base.path !== '' ? base.path : base.path + target.path
  return { upstream, target: { ...target, path: joined } }
}

const refused = (detail: string): CountersignError => new CountersignError('invalid_request', detail)

/** True when there are more steps up than down at some place, however they are spelled. */
function climbs(path: string): boolean {
  if (!/\.|%2e/i.test(path)) return false
  let depth = 0
  for (const segment of path.replace(/%2e/gi, '.').split('/')) {
    if (segment === '..') depth--
    else if (segment !== '' && segment !== '.') depth++
    if (depth < 0) return true
  }
  return false
}
