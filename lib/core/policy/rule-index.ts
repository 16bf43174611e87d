import { type Facts, foldName } from './facts.ts'
import { literalPrefix } from './glob.ts'
import { GlobIndex } from './glob-index.ts'
import { parseHostGlob } from './host-glob.ts'
import { pathPrefix } from './path-glob.ts'
import type { Match } from './policy.ts'

/** What a rule can be found by: a whole name, or what a text begins with. */
interface Key {
  text: string
  isPrefix: boolean
}

interface Dimension {
  /** Keys are what texts end with, not what they begin with. */
  fromEnd?: boolean
  keysOf(globs: readonly string[]): Key[]
  textsOf(facts: Facts): readonly string[]
  /** True where other texts may fit too, so that every rule may speak. */
  isOpen?(facts: Facts): boolean
}

const folded = (globs: readonly string[]): Key[] =>
  globs.map((glob) => ({ text: foldName(literalPrefix(glob)), isPrefix: glob.includes('*') }))
const text = (value: string | null | undefined): string[] => (typeof value === 'string' ? [foldName(value)] : [])

/** Keys are folded, also for rules that compare names as they are: those look again. */
const DIMENSIONS = {
  tool: { keysOf: folded, textsOf: ({ strictNames }) => strictNames.map(({ tool }) => tool) },
  path: {
    keysOf: (globs) => globs.map((glob) => ({ text: pathPrefix(glob), isPrefix: true })),
    textsOf: ({ joinedReadings }) => joinedReadings,
  },
  host: {
    fromEnd: true,
    keysOf: (globs) =>
      globs.map((glob) => {
        const parsed = parseHostGlob(glob)
        const host = typeof parsed === 'string' ? '*' : parsed.host
        return { text: host.slice(host.lastIndexOf('*') + 1), isPrefix: host.includes('*') }
      }),
    textsOf: ({ action }) => (action.kind === 'http' ? [action.http.target.host] : []),
  },
  server: { keysOf: folded, textsOf: ({ strictNames }) => strictNames.flatMap(({ server }) => server ?? []) },
  upstream: {
    keysOf: folded,
    textsOf: ({ action }) => (action.kind === 'http' ? text(action.http.upstream) : []),
  },
  agent: { keysOf: folded, textsOf: ({ action }) => text(action.agent.name) },
  agentType: { keysOf: folded, textsOf: ({ action }) => text(action.agent.type) },
  method: {
    keysOf: (globs) => globs.map((glob) => ({ text: literalPrefix(glob.toUpperCase()), isPrefix: glob.includes('*') })),
    textsOf: ({ methods }) => methods.names,
    isOpen: ({ methods }) => methods.areOpen,
  },
} as const satisfies Record<string, Dimension>
type DimensionName = keyof typeof DIMENSIONS
const NAMES = Object.keys(DIMENSIONS) as DimensionName[]

/**
 * Finds the rules that may speak of an action. Each rule is kept under that key of its match which it shares with the
 * fewest other rules, so that what one action looks at hardly grows with the policy.
 */
export class RuleIndex {
  readonly #indexes: { index: GlobIndex; dimension: Dimension }[]
  /** Rules that nothing finds sooner. */
  readonly #rest: number[] = []

  constructor(matches: readonly Match[]) {
    const options = matches.map((match) =>
      NAMES.flatMap((name) => {
        const globs = match[name]
        return globs ? [{ name, keys: DIMENSIONS[name].keysOf(globs) }] : []
      }),
    )
    const shared = new Map<string, number>()
    const keyName = (name: string, key: Key) => `${name} ${key.isPrefix} ${key.text}`
    for (const { name, keys } of options.flat())
      for (const key of keys) shared.set(keyName(name, key), (shared.get(keyName(name, key)) ?? 0) + 1)

    const indexes = new Map<DimensionName, GlobIndex>()
    for (const [rule, choices] of options.entries()) {
      let best: (typeof choices)[number] | undefined
      let least = Number.POSITIVE_INFINITY
      for (const choice of choices) {
        if (choice.keys.some((key) => key.isPrefix && key.text === '')) continue
        const sharing = choice.keys.reduce((sum, key) => sum + (shared.get(keyName(choice.name, key)) ?? 0), 0)
        if (sharing < least) [best, least] = [choice, sharing]
      }
      if (!best) {
        this.#rest.push(rule)
        continue
      }
      const { fromEnd = false }: Dimension = DIMENSIONS[best.name]
      const index = indexes.get(best.name) ?? new GlobIndex(fromEnd)
      indexes.set(best.name, index)
      for (const { text, isPrefix } of best.keys)
        if (isPrefix) index.addPrefix(text, rule)
        else index.addName(text, rule)
    }
    this.#indexes = [...indexes].map(([name, index]) => ({ index, dimension: DIMENSIONS[name] }))
  }

  /** Numbers of the rules that may speak, in order, each once. */
  candidates(facts: Facts): number[] {
    const found = [...this.#rest]
    for (const { index, dimension } of this.#indexes)
      if (dimension.isOpen?.(facts)) index.collectAll(found)
      else for (const each of dimension.textsOf(facts)) index.collect(each, found)
    if (found.length < 2) return found
    found.sort((a, b) => a - b)
    let kept = 1
    for (let at = 1; at < found.length; at++) {
      const rule = found[at] as number
      if (rule !== found[at - 1]) found[kept++] = rule
    }
    found.length = kept
    return found
  }
}
