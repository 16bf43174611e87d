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
  /** What is found by it fits the glob of a rule that denies or asks: there is no more to look at. */
  isAll: boolean
}

interface Dimension {
  /** Keys are what texts end with, not what they begin with. */
  fromEnd?: boolean
  keysOf(globs: readonly string[]): Key[]
  /** The found rules and those that the index finds by what the action has here. */
  collect(facts: Facts, index: GlobIndex, found: number[]): number[]
}

/** By what stands before the first star of a glob; `compared` is the form in which a rule that denies compares it. */
function keyOf(text: string, isPrefix: boolean, compared: string): Key {
  return { text, isPrefix, isAll: !text.includes('*') && compared === (isPrefix ? `${text}*` : text) }
}
const folded = (globs: readonly string[]): Key[] =>
  globs.map((glob) => keyOf(foldName(literalPrefix(glob)), glob.includes('*'), foldName(glob)))
const byText = (value: string | null | undefined, index: GlobIndex, found: number[]): number[] =>
  typeof value === 'string' ? index.collect(foldName(value), found) : found
const byTexts = (values: readonly string[], index: GlobIndex, found: number[]): number[] => {
  let all = found
  for (const value of values) all = index.collect(value, all)
  return all
}

/**
 * Keys are folded, also for rules that compare names as they are: those look again. Of dimensions that serve a rule
 * equally well the first is taken: what settles more comes first.
 */
const DIMENSIONS = {
  tool: {
    keysOf: folded,
    collect({ strictNames }, index, found) {
      let all = found
      for (const { tool } of strictNames) all = index.collect(tool, all)
      return all
    },
  },
  host: {
    fromEnd: true,
    keysOf: (globs) =>
      globs.map((glob) => {
        const parsed = parseHostGlob(glob)
        if (typeof parsed === 'string') return { text: '', isPrefix: true, isAll: false }
        const { host, port } = parsed
        const isAll = port === null && host.lastIndexOf('*') < 1
        return { text: host.slice(host.lastIndexOf('*') + 1), isPrefix: host.includes('*'), isAll }
      }),
    collect: ({ action }, index, found) =>
      action.kind === 'http' ? index.collect(action.http.target.host, found) : found,
  },
  path: {
    keysOf: (globs) => globs.map((glob) => ({ text: pathPrefix(glob), isPrefix: true, isAll: false })),
    collect: ({ joinedReadings }, index, found) => byTexts(joinedReadings, index, found),
  },
  server: {
    keysOf: folded,
    collect({ strictNames }, index, found) {
      let all = found
      for (const { server } of strictNames) if (server !== null) all = index.collect(server, all)
      return all
    },
  },
  upstream: {
    keysOf: folded,
    collect: ({ action }, index, found) =>
      action.kind === 'http' ? byText(action.http.upstream, index, found) : found,
  },
  agent: { keysOf: folded, collect: ({ action }, index, found) => byText(action.agent.name, index, found) },
  agentType: { keysOf: folded, collect: ({ action }, index, found) => byText(action.agent.type, index, found) },
  method: {
    keysOf: (globs) =>
      globs.map((glob) => {
        const upper = glob.toUpperCase()
        return keyOf(literalPrefix(upper), glob.includes('*'), upper)
      }),
    // Where other methods may be meant too, every rule may speak.
    collect: ({ methods: { names, areOpen } }, index, found) =>
      areOpen ? index.collectAll(found) : byTexts(names, index, found),
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
  readonly #settled = new Map<number, DimensionName>()

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
      const { tool, server } = matches[rule] ?? {}
      // A tool and its server must be of one name of the call, which neither tells alone.
      if (!(tool && server) && best.keys.every(({ isAll }) => isAll)) this.#settled.set(rule, best.name)
      const { fromEnd = false }: Dimension = DIMENSIONS[best.name]
      const index = indexes.get(best.name) ?? new GlobIndex(fromEnd)
      indexes.set(best.name, index)
      for (const { text, isPrefix } of best.keys)
        if (isPrefix) index.addPrefix(text, rule)
        else index.addName(text, rule)
    }
    this.#indexes = [...indexes].map(([name, index]) => ({ index, dimension: DIMENSIONS[name] }))
  }

  /** The key of its match that fits wherever the rule is a candidate, if it denies or asks. */
  settled(rule: number): DimensionName | undefined {
    return this.#settled.get(rule)
  }

  /** Numbers of the rules that may speak, in order, each once. */
  candidates(facts: Facts): readonly number[] {
    let found = [...this.#rest]
    for (const { index, dimension } of this.#indexes) found = dimension.collect(facts, index, found)
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
