import { type Finding, RISKS, type Risk } from '../../events.ts'
import type { PolicyAction } from '../action.ts'
import { Facts } from '../facts.ts'
import { DETECTORS, type Detector, type Evaluators } from '../policy.ts'
import { destructive } from './destructive.ts'
import { compileExfiltration } from './exfiltration.ts'
import { compileProduction } from './production.ts'
import { placeText, type Scan, scan } from './scan.ts'
import { secrets } from './secrets.ts'
import type { Sighting } from './sighting.ts'

/** What built-in detectors notice in an action. Pure, and it never throws: what cannot be looked at is a finding too. */
export type Detect = (action: PolicyAction) => Finding[]

const MAX_EACH = 5
const MAX_MESSAGE = 200

export function compileDetectors({ builtin, knownHosts, productionNames }: Evaluators): Detect {
  const detectors: Record<Detector, (scanned: Scan) => Sighting[]> = {
    destructive,
    secrets,
    exfiltration: compileExfiltration(knownHosts),
    production: compileProduction(productionNames),
  }
  const on = DETECTORS.flatMap((name) => {
    const severity = builtin[name]
    return severity === null ? [] : [{ name, severity, look: detectors[name] }]
  })
  if (on.length === 0) return () => []

  return (action) => {
    try {
      const scanned = scan(new Facts(action))
      const findings = on.flatMap(({ name, severity, look }) => findingsOf(name, severity, look(scanned)))
      return scanned.isCut
        ? [...findings, unseen(on, 'The action is too large: what comes after its first part was not looked at.')]
        : findings
    } catch {
      return [unseen(on, 'The action could not be looked at.')]
    }
  }
}

function findingsOf(detector: Detector, severity: Risk, sightings: readonly Sighting[]): Finding[] {
  const different = distinct(sightings)
  const shown = different.slice(0, MAX_EACH).map(({ message, path }) => ({
    detector,
    severity,
    message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
    path: path === null ? null : placeText(path),
  }))
  const more = different.length - shown.length
  return more === 0 ? shown : [...shown, { detector, severity, message: `And ${more} more of the kind.`, path: null }]
}

function distinct(sightings: readonly Sighting[]): Sighting[] {
  const seen = new Map<string, Set<Sighting['path']>>()
  return sightings.filter(({ message, path }) => {
    const places = seen.get(message) ?? new Set()
    if (places.has(path)) return false
    seen.set(message, places.add(path))
    return true
  })
}

/** As grave as the gravest thing that may have been missed. */
function unseen(on: readonly { name: Detector; severity: Risk }[], message: string): Finding {
  const [gravest] = on.toSorted((a, b) => RISKS.indexOf(b.severity) - RISKS.indexOf(a.severity))
  return { detector: gravest?.name ?? 'secrets', severity: gravest?.severity ?? 'high', message, path: null }
}
