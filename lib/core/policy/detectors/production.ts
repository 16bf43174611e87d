import { compileGlob } from '../glob.ts'
import { hostsOf } from './hosts.ts'
import { commandsOf, knownWords, type Scan, wordsOf } from './scan.ts'
import type { Sighting } from './sighting.ts'

/** Names whose values say where something is done. */
const PLACES = new Set(
  'env environment stage tier cluster context namespace ns account project database db schema host hostname server target workspace profile url uri branch bucket instance service region remote dsn'.split(
    ' ',
  ),
)
const MAX_VALUE = 500

/** Targets that a production name stands in. */
export function compileProduction(names: readonly string[]): (scanned: Scan) => Sighting[] {
  const globs = names.map((name) => compileGlob(name.toLowerCase()))
  const isProduction = (text: string): boolean =>
    [text.toLowerCase(), ...wordsOf(text)].some((word) => globs.some((fits) => fits(word)))

  return (scanned) => {
    const found: Sighting[] = []
    if (scanned.nameWords.some(isProduction))
      found.push({ message: 'The name of the call names production.', path: null })
    for (const { path, key, value } of scanned.named)
      if (value.length <= MAX_VALUE && wordsOf(key).some((word) => PLACES.has(word)) && isProduction(value))
        found.push({ message: 'A target in production.', path })
    for (const { path, command } of commandsOf(scanned))
      if (knownWords(command).some((word) => word.length <= MAX_VALUE && !word.includes(' ') && isProduction(word)))
        found.push({ message: 'A command that names production.', path })
    for (const { host, path } of hostsOf(scanned))
      if (isProduction(host)) found.push({ message: 'A host in production.', path })
    return found
  }
}
