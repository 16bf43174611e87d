import { canonicalJson, sha256Hex } from '../canonical-json.ts'
import { type Facts, foldedSteps, foldName, UNREADABLE } from './facts.ts'
import { type Path, valuesAt } from './path.ts'
import type { RateLimit } from './policy.ts'
import type { VerdictLimit } from './verdict.ts'

const KEY_LENGTH = 32

/** What a call spends: which calls are counted with it. What cannot be judged is counted together. */
export function compileLimit(ruleId: string, { limit, windowMs, key }: RateLimit): (facts: Facts) => VerdictLimit {
  const partsOf = typeof key === 'object' ? (facts: Facts) => key.map((path) => valueAt(facts, path)) : PARTS[key]
  return (facts) => {
    const text = canonicalJson([ruleId, ...partsOf(facts)])
    return { ruleId, key: sha256Hex(text).slice(0, KEY_LENGTH), limit, windowMs }
  }
}

const agentOf = ({ action }: Facts): string => action.agent.name

const PARTS: Record<Exclude<RateLimit['key'], Path[]>, (facts: Facts) => unknown[]> = {
  agent: (facts) => [agentOf(facts)],
  session: (facts) => [agentOf(facts), facts.action.context.session ?? null],
  tool: ({ action }) => {
    if (action.kind === 'http') return ['http', action.http.upstream ?? action.http.target.host]
    return action.kind === 'mcp'
      ? ['mcp', action.mcp.server, foldName(action.mcp.tool)]
      : ['tool', foldName(action.tool)]
  },
}

/** Spelled in one way where one value can be spelled in several, so that a spelling opens no count of its own. */
function valueAt(facts: Facts, { root, steps }: Path): unknown {
  const start = facts.root(root)
  if (start === UNREADABLE || start === undefined) return null
  const { values } =
    root === 'query'
      ? valuesAt(start, foldedSteps(steps), true, (value, key) => facts.folded(value, key))
      : valuesAt(start, steps, true)
  return values.map((value) => (typeof value === 'object' && value !== null ? value : foldName(String(value))))
}
