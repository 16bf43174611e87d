import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Json } from '../../../lib/core/canonical-json.ts'
import { mergePatch } from '../../../lib/core/merge-patch.ts'

/** The examples of RFC 7396, appendix A. */
const EXAMPLES: [target: Json, patch: Json, result: Json][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
]

it.each(EXAMPLES)('%j with %j is %j', (target, patch, result) => {
  expect(mergePatch(target, patch)).toEqual(result)
})

it('changes neither argument, and the same patch twice is the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
      const [before, patchBefore] = [JSON.stringify(target), JSON.stringify(patch)]
      const once = mergePatch(target as Json, patch as Json)
      expect(mergePatch(once, patch as Json)).toEqual(once)
      expect([JSON.stringify(target), JSON.stringify(patch)]).toEqual([before, patchBefore])
    }),
  )
})

it('takes no key for a prototype', () => {
  const result = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}') as Json)
  expect(Object.hasOwn(result as object, '__proto__')).toBe(true)
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})
