import { exactNames, type Facts, foldName } from './facts.ts'
import { compileGlob } from './glob.ts'
import { compileHostGlob } from './host-glob.ts'
import { compilePathGlob } from './path-glob.ts'
import { HTTP_KEYS, type Match, type MatchKey, TOOL_KEYS } from './policy.ts'

type Test = (facts: Facts) => boolean

/**
 * Whether a rule speaks of an action at all. `strict` is for rules that deny or ask: one reading that fits is enough,
 * and names are compared by `foldName`. A rule that allows needs every reading to fit, and names as they are.
 */
export function compileMatch(match: Match, strict: boolean): Test {
  const tests: Test[] = []
  if (TOOL_KEYS.some((key) => match[key])) tests.push(namesTest(match, strict))
  if (HTTP_KEYS.some((key) => match[key])) tests.push(({ action }) => action.kind === 'http')
  for (const [key, globs] of Object.entries(match) as [MatchKey, string[]][]) {
    const test = testOf(key, globs, strict)
    if (test) tests.push(test)
  }
  const [first, second] = tests
  if (!first) return () => true
  if (!second) return first
  return (facts) => {
    for (const test of tests) if (!test(facts)) return false
    return true
  }
}

function namesTest({ tool, server }: Match, strict: boolean): Test {
  const toolFits = tool && textTest(tool, strict)
  const serverFits = server && textTest(server, strict)
  return (facts) => {
    const names = strict ? facts.strictNames : exactNames(facts.action, server !== undefined)
    for (const name of names) {
      if (serverFits && (name.server === null || !serverFits(name.server))) continue
      if (!toolFits || toolFits(name.tool)) return true
    }
    return false
  }
}

function testOf(key: MatchKey, globs: readonly string[], strict: boolean): Test | undefined {
  const fold = (text: string): string => (strict ? foldName(text) : text)
  const fits = (text: string | null | undefined, test: (text: string) => boolean): boolean =>
    typeof text === 'string' && test(fold(text))
  switch (key) {
    case 'tool':
    case 'server':
      return undefined
    case 'upstream': {
      const test = textTest(globs, strict)
      return ({ action }) => action.kind === 'http' && fits(action.http.upstream, test)
    }
    case 'host': {
      const tests = globs.map(compileHostGlob)
      return ({ action }) => action.kind === 'http' && tests.some((test) => test(action.http.target))
    }
    case 'path': {
      const tests = globs.map((glob) => compilePathGlob(glob, strict))
      const one = (reading: readonly string[]) => tests.some((test) => test(reading))
      return strict ? (facts) => facts.readings.some(one) : (facts) => facts.readings.every(one)
    }
    case 'method': {
      const tests = globs.map((glob) => compileGlob(glob.toUpperCase()))
      const one = (method: string) => tests.some((test) => test(method))
      return strict
        ? ({ methods: { names, areOpen } }) => areOpen || names.some(one)
        : ({ methods: { names, areOpen } }) => !areOpen && names.every(one)
    }
    case 'agent': {
      const test = textTest(globs, strict)
      return ({ action }) => fits(action.agent.name, test)
    }
    case 'agentType': {
      const test = textTest(globs, strict)
      return ({ action }) => fits(action.agent.type, test)
    }
    case 'session': {
      const test = textTest(globs, strict)
      return ({ action }) => fits(action.context.session, test)
    }
    case 'labels': {
      const test = textTest(globs, strict)
      return ({ action }) => (action.context.labels ?? []).some((label) => fits(label, test))
    }
  }
}

/** Whether a text, folded already where `strict`, fits one of the globs. */
function textTest(globs: readonly string[], strict: boolean): (text: string) => boolean {
  const tests = globs.map((glob) => compileGlob(strict ? foldName(glob) : glob))
  const [single] = tests
  return single && tests.length === 1 ? single : (text) => tests.some((test) => test(text))
}
