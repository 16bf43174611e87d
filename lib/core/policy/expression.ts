import { Environment } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import type { CompiledCondition } from './condition.ts'
import { type Facts, UNREADABLE } from './facts.ts'

/** Characters of an expression; what it costs to judge one grows with it. */
export const MAX_EXPRESSION = 2_000
/** Nested all, exists, map and filter: each goes through a list for every element of the one around it. */
const MAX_NESTING = 2
/** Roughly the steps that one evaluation may take; past them an expression over lists is not judged. */
const MAX_STEPS = 2_000_000

const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])
/** Lists without a type: what stands in arguments and bodies is known at run time alone. */
const LISTS_OF_TEXT = 'map<string, list<string>>'

const environment = new Environment({
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 500, maxDepth: 32, maxListElements: 200, maxMapEntries: 200, maxCallArguments: 8 },
})
  .registerVariable('args', 'dyn')
  .registerVariable('body', 'dyn')
  .registerVariable('headers', LISTS_OF_TEXT)
  .registerVariable('query', LISTS_OF_TEXT)
  .registerVariable('context', 'map')
  .registerVariable('agent', 'map')
  .registerVariable('http', 'map')
  .registerVariable('tool', 'string')
  .registerFunction('string.re2(string): bool', (text: string, pattern: string) => patternOf(pattern).test(text))

const patterns = new Map<string, RE2JS>()

/** Patterns are texts of the policy, never of an action, so there are few. */
function patternOf(pattern: string): RE2JS {
  let compiled = patterns.get(pattern)
  if (!compiled) {
    compiled = RE2JS.compile(pattern)
    patterns.set(pattern, compiled)
  }
  return compiled
}

interface Node {
  op: string
  args: unknown
  start: number
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'op' in value && 'args' in value

function visit(value: unknown, depth: number, look: (node: Node, depth: number) => void): void {
  if (Array.isArray(value)) for (const each of value) visit(each, depth, look)
  if (!isNode(value)) return
  look(value, depth)
  visit(value.args, depth + (macroOf(value) ? 1 : 0), look)
}

function macroOf({ op, args }: Node): boolean {
  return op === 'rcall' && Array.isArray(args) && MACROS.has(String(args[0]))
}

/** `body.x` or `body[x]`. */
function isStepIntoBody({ op, args }: Node): boolean {
  const [from] = Array.isArray(args) ? args : []
  return /^[.[]/.test(op) && isNode(from) && from.op === 'id' && from.args === 'body'
}

type Run = (variables: Record<string, unknown>) => unknown
interface Expression {
  run: Run
  /** How deep lists are gone through within lists. */
  nesting: number
  /** It looks at what lies beneath `body`. */
  looksInsideBody: boolean
}

/** Throws an Error that says what is wrong and where. */
function readExpression(text: string): Expression {
  const parsed = environment.parse(text)
  let nesting = 0
  let looksInsideBody = false
  visit(parsed.ast, 0, (node, depth) => {
    if (macroOf(node)) nesting = Math.max(nesting, depth + 1)
    if (isStepIntoBody(node)) looksInsideBody = true
    if (node.op !== 'rcall' && node.op !== 'call') return
    const [name, , given] = node.args as [unknown, unknown, unknown[] | undefined]
    if (name === 'bind') throw new Fault('cel.bind is not supported', node.start)
    if (name === 're2') throw new Fault('there is no function re2', node.start)
    if (name !== 'matches' || node.op !== 'rcall') return
    // The library's own `matches` backtracks without bound.
    const [pattern] = given ?? []
    if (!isNode(pattern) || pattern.op !== 'value' || typeof pattern.args !== 'string')
      throw new Fault('matches takes a pattern that is written out', node.start)
    try {
      patternOf(pattern.args)
    } catch {
      throw new Fault('this is not an RE2 pattern', pattern.start)
    }
    ;(node.args as unknown[])[0] = 're2'
  })
  if (nesting > MAX_NESTING) throw new Fault(`lists are gone through more than ${MAX_NESTING} deep`, 0)
  const checked = parsed.check()
  if (checked.error) throw checked.error
  if (checked.type !== 'bool' && checked.type !== 'dyn')
    throw new Fault(`this is ${checked.type}, not true or false`, 0)
  return { run: parsed as Run, nesting, looksInsideBody }
}

class Fault extends Error {
  readonly range: { start: number }
  constructor(message: string, start: number) {
    super(message)
    this.range = { start }
  }
}

/** What is wrong with an expression, with its line and column; undefined when it is sound. */
export function expressionFault(text: string): string | undefined {
  if (text.length > MAX_EXPRESSION) return `an expression has at most ${MAX_EXPRESSION} characters`
  try {
    readExpression(text)
    return undefined
  } catch (error) {
    const { summary, message, range } = error as { summary?: string; message: string; range?: { start: number } }
    const before = text.slice(0, range?.start ?? 0).split('\n')
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1} of the expression`
    return `${summary ?? message} (${place})`
  }
}

/**
 * A CEL expression. One that fails (a key that is not there, kinds that do not go together, a body that was not read)
 * or gives no boolean cannot be judged: it counts where `strict`, and does not hold where not.
 * Throws for what `expressionFault` refuses.
 */
export function compileExpression(text: string, strict: boolean): CompiledCondition {
  const { run, nesting, looksInsideBody } = readExpression(text)
  const shown = text.replace(/\s+/g, ' ').trim()
  const words = `expr ${shown.length > 120 ? `${shown.slice(0, 120)}…` : shown}`
  const unclear = strict ? `${words} cannot be judged, so it counts` : undefined
  return {
    words,
    holds: (facts) => {
      const variables = variablesOf(facts)
      if (nesting > 0 && isTooMuch(variables, nesting)) return unclear
      // A text has no such key for `has`, and may have it for its server.
      if (looksInsideBody && typeof variables.body === 'string') return unclear
      let result: unknown
      try {
        result = run(variables)
      } catch {
        return unclear
      }
      return typeof result === 'boolean' ? (result ? words : undefined) : unclear
    },
  }
}

/** What is not there is left out: to look at it is an error, unless `has` asks for it. */
function variablesOf(facts: Facts): Record<string, unknown> {
  const { action } = facts
  const variables: Record<string, unknown> = {
    context: facts.root('context'),
    agent: { name: action.agent.name, ...(typeof action.agent.type === 'string' ? { type: action.agent.type } : {}) },
  }
  for (const root of ['args', 'headers', 'query', 'body'] as const) {
    const value = facts.root(root)
    if (value !== undefined && value !== UNREADABLE) variables[root] = value
  }
  if (action.kind === 'tool') variables.tool = action.tool
  if (action.kind === 'mcp') variables.tool = action.mcp.tool
  if (action.kind === 'http') {
    const { scheme, host, port, path } = action.http.target
    variables.http = { method: action.http.method.toUpperCase(), scheme, host, port, path }
  }
  return variables
}

/** Elements to the power of the nesting, times what a look at the longest text costs. */
function isTooMuch(variables: Record<string, unknown>, nesting: number): boolean {
  let elements = 1
  let characters = 0
  const queue: unknown[] = [variables]
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (typeof value === 'string') characters += value.length
    else if (typeof value === 'object' && value !== null)
      for (const inner of Object.values(value)) {
        elements++
        queue.push(inner ?? null)
      }
  }
  return elements ** nesting * (1 + characters / 1_000) > MAX_STEPS
}
