import { describe, expect, it } from 'vitest'
import { isAlwaysDenied } from '../../../../lib/core/policy/always-denied.ts'
import { compilePolicy } from '../../../../lib/core/policy/compile.ts'
import { evaluate } from '../../../../lib/core/policy/evaluate.ts'
import { parsePolicy } from '../../../../lib/core/policy/parse.ts'

function compiled(rules: string[], fallback: 'allow' | 'deny') {
  const parsed = parsePolicy(
    `version: 1\ndefault: ${fallback}\nrules:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`,
  )
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors))
  return compilePolicy(parsed.policy)
}

const tool = (name: string, annotations: Record<string, boolean> | null = null, trusted = false) => ({
  kind: 'mcp' as const,
  mcp: { server: 'files', tool: name, annotations, trusted },
  agent: { name: 'agent' },
  context: {},
})

const always = (rules: string[], fallback: 'allow' | 'deny', action = tool('write')) =>
  isAlwaysDenied(compiled(rules, fallback), action)

const OPEN = '{ id: open, match: { server: "*" }, action: allow }'

describe('a tool is denied whatever its arguments', () => {
  it('where a rule denies it without a look at them, in any order', () => {
    const deny = '{ id: no, match: { server: files, tool: WRITE }, action: deny }'
    expect(always([deny], 'allow')).toBe(true)
    expect(always([deny, OPEN], 'deny')).toBe(true)
    expect(always([OPEN, deny], 'deny')).toBe(true)
    expect(always([deny], 'allow', tool('read'))).toBe(false)
  })

  it('where the default denies, and no rule could allow it or ask', () => {
    expect(always(['{ id: reads, match: { server: files, tool: read }, action: allow }'], 'deny')).toBe(true)
    expect(always([OPEN], 'deny')).toBe(false)
    expect(always(['{ id: ask, match: { tool: write }, action: require_approval }'], 'deny')).toBe(false)
    const limit = '{ id: limit, match: { tool: write }, action: rate_limit, rate_limit: { limit: 1, window: 1s } }'
    expect(always([limit], 'deny')).toBe(true)
  })

  it('where what decides is known without arguments: annotations', () => {
    const hint = '{ path: annotations.readOnlyHint, eq: true }'
    const readers = [`{ id: readers, match: { server: files }, when: [${hint}], action: allow }`]
    expect(always(readers, 'deny', tool('read', { readOnlyHint: true }, true))).toBe(false)
    expect(always(readers, 'deny', tool('read', { readOnlyHint: true }, false))).toBe(true)
    expect(always(readers, 'deny', tool('write', null, true))).toBe(true)
  })
})

describe('it may be allowed', () => {
  const conditions = [
    '{ path: args.path, eq: /etc }',
    '{ expr: "args.path == \'/etc\'" }',
    '{ any: [{ path: args.path, eq: /etc }, { path: annotations.x, eq: 1 }] }',
    '{ not: { path: args.path, eq: /etc } }',
    '{ command: { runs: rm } }',
  ]
  it.each(conditions)('where a rule looks at its arguments: %s', (when) => {
    expect(always([`{ id: no, match: { tool: write }, when: [${when}], action: deny }`], 'allow')).toBe(false)
    const allow = `{ id: yes, match: { server: files, tool: write }, when: [${when}], action: allow }`
    expect(always([allow], 'deny')).toBe(false)
  })

  it('where the rule that denies only watches', () => {
    expect(always(['{ id: no, match: { tool: write }, action: deny, mode: shadow }'], 'allow')).toBe(false)
  })
})

it('agrees with the judgement of calls: what is always denied is denied', () => {
  const policy = compiled(
    ['{ id: a, match: { tool: "w*" }, when: [{ path: args.x, gt: 1 }], action: allow }', OPEN.replace('"*"', 'wiki')],
    'deny',
  )
  for (const name of ['write', 'read', 'wipe'])
    for (const args of [{}, { x: 2 }, { x: 'much' }])
      if (isAlwaysDenied(policy, tool(name))) expect(evaluate(policy, { ...tool(name), args }).effect).toBe('deny')
})
