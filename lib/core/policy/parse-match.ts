import { globFault } from './glob.ts'
import { parseHostGlob } from './host-glob.ts'
import { pathGlobFault } from './path-glob.ts'
import { HTTP_KEYS, MATCH_KEYS, type Match, type MatchKey, TOOL_KEYS } from './policy.ts'
import { bounded, type Place } from './source.ts'

const MAX_TEXT = 200

/** Reads the globs of `match`. */
export function readMatch(place: Place): Match | undefined {
  const fields = place.fields(MATCH_KEYS)
  if (!fields) return undefined
  const keys = MATCH_KEYS.filter((key) => fields[key])
  if (keys.length === 0) return place.fail(`a match names at least one of ${MATCH_KEYS.join(', ')}`)
  const ofTools = TOOL_KEYS.find((key) => fields[key])
  const ofHttp = HTTP_KEYS.find((key) => fields[key])
  if (ofTools && ofHttp)
    return place.fail(`"${ofTools}" is of tool calls and "${ofHttp}" of HTTP requests: no action has both`)
  const match: Match = {}
  for (const key of keys) {
    const globs = fields[key] && readGlobs(fields[key], faultOf(key))
    if (!globs) return undefined
    match[key] = globs
  }
  return match
}

type FaultOf = (glob: string) => string | undefined

function faultOf(key: MatchKey): FaultOf {
  if (key === 'path') return pathGlobFault
  if (key !== 'host') return globFault
  return (glob) => {
    const parsed = parseHostGlob(glob)
    return typeof parsed === 'string' ? parsed : undefined
  }
}

export function readGlobs(place: Place, faultIn: FaultOf = globFault): string[] | undefined {
  return bounded(place, place.oneOrMore())?.flatMap((item) => {
    const glob = item.text(MAX_TEXT)
    const fault = glob === undefined ? undefined : faultIn(glob)
    if (fault !== undefined) item.fail(fault)
    return glob === undefined ? [] : [glob]
  })
}
