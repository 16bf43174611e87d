import { RISKS, type Risk } from '../events.ts'
import { readGlobs } from './parse-match.ts'
import { DETECTORS, type Detector, type Evaluators, type ExternalEvaluator, POWERS, type Power } from './policy.ts'
import { bounded, type Place } from './source.ts'

export const EVALUATORS_KEYS = ['builtin', 'external'] as const
export const BUILTIN_KEYS = [...DETECTORS, 'knownHosts', 'productionNames'] as const
export const EXTERNAL_KEYS = ['id', 'url', 'timeout', 'secret', 'may'] as const

const DEFAULTS: Evaluators = {
  builtin: { destructive: 'high', secrets: 'high', exfiltration: 'high', production: 'high' },
  knownHosts: [],
  productionNames: ['prod', 'production'],
  external: [],
}
const DEFAULT_TIMEOUT_MS = 2_000
/** An evaluator approves in a person's stead only where the policy says so. */
const DEFAULT_POWERS: Power[] = ['deny', 'escalate', 'suggest']
const MAX_EXTERNAL = 10

/** Reads who looks at an action before a person does. */
export function readEvaluators(place: Place | undefined): Evaluators {
  const fields = place?.fields(EVALUATORS_KEYS)
  const builtin = fields?.builtin?.fields(BUILTIN_KEYS)
  const risks = DETECTORS.map((name) => {
    const given = builtin?.[name]
    return [name, given ? readRisk(given) : DEFAULTS.builtin[name]] as const
  })
  return {
    builtin: Object.fromEntries(risks) as Record<Detector, Risk | null>,
    knownHosts: (builtin?.knownHosts && readGlobs(builtin.knownHosts)) ?? DEFAULTS.knownHosts,
    productionNames: (builtin?.productionNames && readGlobs(builtin.productionNames)) ?? DEFAULTS.productionNames,
    external: readExternal(fields?.external),
  }
}

function readRisk(place: Place): Risk | null {
  if (place.value === 'off' || place.value === false) return null
  return (
    RISKS.find((risk) => risk === place.value) ?? place.fail(`this must be off or one of ${RISKS.join(', ')}`) ?? null
  )
}

function readExternal(place: Place | undefined): ExternalEvaluator[] {
  const items = bounded(place, place?.items()) ?? []
  if (items.length > MAX_EXTERNAL) place?.fail(`there may be at most ${MAX_EXTERNAL} external evaluators`)
  const ids = new Set<string>()
  return items.flatMap((item) => {
    const fields = item.fields(EXTERNAL_KEYS)
    if (!fields) return []
    const id = fields.id ? readId(fields.id, ids) : item.missing('id')
    const url = fields.url ? readUrl(fields.url) : item.missing('url')
    const timeoutMs = fields.timeout?.duration('100ms', '30s') ?? DEFAULT_TIMEOUT_MS
    const secret = fields.secret ? readVariable(fields.secret) : null
    const may = fields.may ? (fields.may.items() ?? []).map((power) => power.oneOf(POWERS)) : DEFAULT_POWERS
    if (id === undefined || url === undefined || secret === undefined) return []
    return [{ id, url, timeoutMs, secret, may: [...new Set(may.filter((power) => power !== undefined))] }]
  })
}

function readId(place: Place, ids: Set<string>): string | undefined {
  const id = place.text(100)
  if (id === undefined) return undefined
  if (!/^[A-Za-z0-9][\w.-]*$/.test(id)) return place.fail('an id is made of letters, digits, ".", "_" and "-"')
  if (ids.has(id)) return place.fail('another evaluator has this id')
  ids.add(id)
  return id
}

function readUrl(place: Place): string | undefined {
  const text = place.text(500)
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) return place.fail('this must be an http or https URL')
  if (url.username !== '' || url.password !== '')
    return place.fail('a URL carries no credentials here: name an environment variable as the secret')
  return text
}

function readVariable(place: Place): string | undefined {
  const name = place.text(100)
  if (name === undefined) return undefined
  return /^[A-Z_][A-Z0-9_]*$/.test(name)
    ? name
    : place.fail('this is the name of an environment variable, never the secret itself')
}
