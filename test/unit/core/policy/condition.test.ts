import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/core/canonical-json.ts'
import { matchesGlob } from '../../../../lib/core/policy/glob.ts'
import { parsePath } from '../../../../lib/core/policy/path.ts'
import { action, judge } from './fixture.ts'

const rule = (condition: string, word: string) =>
  `- { id: r, match: { tool: "*" }, when: [${condition}], action: ${word} }`

/** Whether a rule with this one condition speaks: one that denies, and one that allows. */
function speaks(condition: string, args: Json): { strict: boolean; allow: boolean } {
  const given = action('t', args, { context: { session: 's1', user: null, labels: ['pii'] } })
  return {
    strict: judge(rule(condition, 'deny'))(given).effect === 'deny',
    allow: judge(rule(condition, 'allow'), 'version: 1\ndefault: deny')(given).effect === 'allow',
  }
}
const both = { strict: true, allow: true }
const neither = { strict: false, allow: false }
/** What the gate cannot judge, or judges in the stricter way. */
const stricter = { strict: true, allow: false }

describe('operators', () => {
  it.each<[string, Json, { strict: boolean; allow: boolean }]>([
    ['{ path: args.a, eq: 5 }', { a: 5 }, both],
    ['{ path: args.a, eq: 5 }', { a: 6 }, neither],
    ['{ path: args.a, eq: 5 }', { a: '5' }, stricter],
    ['{ path: args.a, eq: 5 }', { a: ' 5.0 ' }, stricter],
    ['{ path: args.a, eq: 5 }', { a: '' }, neither],
    ['{ path: args.a, eq: "5" }', { a: 5 }, stricter],
    ['{ path: args.a, eq: true }', { a: 'TRUE' }, stricter],
    ['{ path: args.a, eq: prod }', { a: ['prod'] }, stricter],
    ['{ path: args.a, eq: prod }', { a: 'Prod' }, neither],
    ['{ path: args.a, eq: null }', { a: null }, both],
    ['{ path: args.a, eq: null }', {}, neither],
    ['{ path: args.a, eq: "" }', { a: '' }, both],
    ['{ path: args.a, neq: 5 }', { a: 6 }, both],
    ['{ path: args.a, neq: 5 }', { a: 5 }, neither],
    ['{ path: args.a, neq: 5 }', { a: '5' }, stricter],
    ['{ path: args.a, neq: 5 }', {}, neither],
    ['{ path: args.a, in: [1, x] }', { a: 'x' }, both],
    ['{ path: args.a, in: [1, x] }', { a: '1' }, stricter],
    ['{ path: args.a, in: [1, x] }', { a: 'y' }, neither],
    ['{ path: args.a, in: [1, x] }', { a: { b: 1 } }, stricter],
    ['{ path: args.a, notIn: [x, y] }', { a: 'z' }, both],
    ['{ path: args.a, notIn: [x, y] }', { a: 'x' }, neither],
    ['{ path: args.a, notIn: [x, y] }', { a: 7 }, stricter],
    ['{ path: args.a, notIn: [x, y] }', {}, neither],
    ['{ path: args.a, lt: 5 }', { a: 4 }, both],
    ['{ path: args.a, lt: 5 }', { a: 5 }, neither],
    ['{ path: args.a, lte: 5 }', { a: 5 }, both],
    ['{ path: args.a, lte: 5 }', { a: 5.1 }, neither],
    ['{ path: args.a, gt: 50000 }', { a: 50001 }, both],
    ['{ path: args.a, gt: 50000 }', { a: 50000 }, neither],
    ['{ path: args.a, gt: 50000 }', { a: '50001' }, stricter],
    ['{ path: args.a, gt: 50000 }', { a: '1' }, stricter],
    ['{ path: args.a, gt: 50000 }', { a: null }, stricter],
    ['{ path: args.a, gt: 50000 }', { a: [60000] }, stricter],
    ['{ path: args.a, gt: 50000 }', {}, neither],
    ['{ path: args.a, gte: 5 }', { a: 5 }, both],
    ['{ path: args.a, gte: 5 }', { a: 4 }, neither],
    ['{ path: args.a, contains: bc }', { a: 'abcd' }, both],
    ['{ path: args.a, contains: bc }', { a: 'abd' }, neither],
    ['{ path: args.a, contains: bc }', { a: ['a', 'bc'] }, both],
    ['{ path: args.a, contains: bc }', { a: ['abcd'] }, neither],
    ['{ path: args.a, contains: bc }', { a: ['x', { y: 'bc' }] }, stricter],
    ['{ path: args.a, contains: bc }', { a: { bc: 1 } }, stricter],
    ['{ path: args.a, contains: 5 }', { a: [5] }, both],
    ['{ path: args.a, contains: 5 }', { a: ['5'] }, stricter],
    ['{ path: args.a, startsWith: /etc/ }', { a: '/etc/passwd' }, both],
    ['{ path: args.a, startsWith: /etc/ }', { a: 'x/etc/' }, neither],
    ['{ path: args.a, startsWith: /etc/ }', { a: ['/etc/passwd'] }, stricter],
    ['{ path: args.a, matches: "^r[me]" }', { a: 'rm -rf' }, both],
    ['{ path: args.a, matches: "^r[me]" }', { a: 'a rm' }, neither],
    ['{ path: args.a, matches: "(?i)RM" }', { a: 'a rm' }, both],
    ['{ path: args.a, matches: rm }', { a: ['rm', '-rf'] }, stricter],
    ['{ path: args.a, exists: true }', { a: null }, both],
    ['{ path: args.a, exists: true }', {}, neither],
    ['{ path: args.a, exists: false }', {}, both],
    ['{ path: args.a, exists: false }', { a: 0 }, neither],
    ['{ path: args, exists: true }', {}, both],
    ['{ path: "args.a[*]", exists: false }', { a: 0 }, stricter],
    ['{ path: "args.a[*].b", exists: true }', { a: [{ b: 1 }, {}] }, stricter],
    ['{ path: "args.a[*].b", exists: false }', { a: [{ b: 1 }, {}] }, stricter],
    ['{ path: "args.a[*].b", exists: false }', { a: [{}, {}] }, both],
    ['{ not: { path: args.a, gt: 5 } }', { a: 5 }, both],
    ['{ not: { path: args.a, gt: 5 } }', { a: 6 }, neither],
    ['{ not: { path: args.a, gt: 5 } }', { a: '6' }, stricter],
    ['{ not: { path: args.a, gt: 5 } }', {}, both],
    ['{ not: { path: "args.a[*]", eq: x } }', { a: ['x', 'y'] }, stricter],
    ['{ any: [{ path: args.a, eq: 1 }, { path: args.b, eq: 1 }] }', { b: 1 }, both],
    ['{ any: [{ path: args.a, eq: 1 }, { path: args.b, eq: 1 }] }', { a: 2, b: 2 }, neither],
    ['{ all: [{ path: args.a, eq: 1 }, { path: args.b, eq: 1 }] }', { a: 1, b: '1' }, stricter],
    ['{ not: { any: [{ path: args.a, eq: 1 }, { path: args.b, eq: 1 }] } }', { a: 2, b: '1' }, stricter],
    ['{ expr: "args.a > 5" }', { a: 6 }, both],
    ['{ expr: "args.a > 5" }', { a: 5 }, neither],
    ['{ expr: "args.a > 5" }', { a: '6' }, stricter],
    ['{ expr: "args.a > 5" }', {}, stricter],
    ['{ expr: "args.a" }', { a: 'true' }, stricter],
    ['{ not: { expr: "args.a > 5" } }', { a: 5 }, both],
    ['{ not: { expr: "args.a > 5" } }', { a: '5' }, stricter],
    ['{ expr: "has(args.a) && args.a.matches(\'^(a+)+$\')" }', { a: `${'a'.repeat(5_000)}b` }, neither],
    ['{ path: context.session, eq: s1 }', {}, both],
    ['{ path: context.user, exists: true }', {}, neither],
    ['{ path: context.labels, contains: pii }', {}, both],
    ['{ path: "context.labels[*]", startsWith: p }', {}, both],
  ])('%s on %j', (condition, args, expected) => {
    expect(speaks(condition, args)).toEqual(expected)
  })

  it('all have to hold', () => {
    const when = '{ path: args.a, gt: 1 }, { path: args.b, eq: x }'
    expect(speaks(when, { a: 2, b: 'x' })).toEqual(both)
    expect(speaks(when, { a: 2, b: 'y' })).toEqual(neither)
    expect(speaks(when, { a: 2 })).toEqual(neither)
  })

  it('match in linear time', () => {
    expect(speaks('{ path: args.a, matches: "^(a+)+$" }', { a: `${'a'.repeat(50_000)}b` })).toEqual(neither)
  })
})

describe('paths', () => {
  it.each<[string, Json, { strict: boolean; allow: boolean }]>([
    ['args.a.b', { a: { b: 9 } }, both],
    ['args.a.b', { a: [{ b: 9 }] }, neither],
    ['args.a.b', { a: null }, neither],
    ['args.a[1]', { a: [0, 9] }, both],
    ['args.a[2]', { a: [0, 9] }, neither],
    ['args["odd key"]["x.y"]', { 'odd key': { 'x.y': 9 } }, both],
    ['args.constructor', {}, neither],
    ['args.a.length', { a: [1, 2] }, neither],
    ['args.__proto__', {}, neither],
    ['args.a[*]', { a: [9, 9] }, both],
    ['args.a[*]', { a: [1, 9] }, stricter],
    ['args.a[*]', { a: [1, 1] }, neither],
    ['args.a[*]', { a: [] }, neither],
    ['args.a[*]', { a: 9 }, stricter],
    ['args.a[*].b', { a: [{ b: 9 }, { b: 9 }] }, both],
    ['args.a[*].b', { a: [{ b: 9 }, {}] }, stricter],
    ['args.a[*].b', { a: { b: 9 } }, stricter],
    ['args.a[*][*].b', { a: [[{ b: 1 }], [{ b: 9 }]] }, stricter],
    ['args[*]', [9], both],
  ])('%s in %j', (path, args, expected) => {
    expect(speaks(`{ path: '${path}', gt: 5 }`, args)).toEqual(expected)
  })

  it.each([
    '',
    'arg.a',
    'args.',
    'args..a',
    'args.a[',
    'args.a[-1]',
    'args.a[x]',
    'args.a b',
    'args[""]',
    'Args.a',
    'args.a[*',
    'argsx',
    'bodies.a',
    'headers',
    'query[*]',
    'headers.a.b',
    'tool',
  ])('%j is refused with a reason', (text) => {
    expect(parsePath(text)).toBeTypeOf('string')
  })
})

describe('globs', () => {
  it.each<[string, string, boolean]>([
    ['delete', 'delete', true],
    ['delete', 'deleted', false],
    ['delete*', 'delete', true],
    ['delete*', 'delete/all.now', true],
    ['delete*', 'undelete', false],
    ['*', '', true],
    ['**', 'anything', true],
    ['mcp__*__delete_*', 'mcp__fs__delete_file', true],
    ['mcp__*__delete_*', 'mcp__fs__read_file', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*ab*ab', 'abab', true],
    ['*ab*ab', 'ab', false],
    ['a*b*c', 'a1b2c', true],
    ['a*b*c', 'a1c2b', false],
    ['.*', 'x', false],
  ])('%s on %j', (glob, text, expected) => {
    expect(matchesGlob(glob, text)).toBe(expected)
  })

  it('take linear time', () => {
    expect(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(10_000))).toBe(false)
  })
})
