import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonicalJson, type Json } from '../../../lib/core/canonical-json.ts'
import { type FingerprintInput, fingerprint } from '../../../lib/core/fingerprint.ts'

const input = (args: Json, more: Partial<FingerprintInput> = {}): FingerprintInput => ({
  tenant: 'default',
  agentId: 'key_1',
  kind: 'tool',
  name: 'stripe.refund',
  args,
  ruleRevision: 'r1',
  session: null,
  user: null,
  ...more,
})

it('does not see the order of keys', () => {
  expect(fingerprint(input({ a: 1, b: { c: 2, d: 3 } }))).toBe(fingerprint(input({ b: { d: 3, c: 2 }, a: 1 })))
})

it('sees every change of the arguments', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const same = canonicalJson(a) === canonicalJson(b)
      expect(fingerprint(input(a as Json)) === fingerprint(input(b as Json))).toBe(same)
    }),
  )
  expect(fingerprint(input({ amount: 50 }))).not.toBe(fingerprint(input({ amount: 50000 })))
  expect(fingerprint(input({ amount: 50 }))).not.toBe(fingerprint(input({ amount: '50' })))
})

it.each([
  { tenant: 'other' },
  { agentId: 'key_2' },
  { kind: 'mcp' },
  { name: 'stripe.refunds' },
  { ruleRevision: 'r2' },
  { session: 's1' },
] satisfies Partial<FingerprintInput>[])('sees %j', (more) => {
  expect(fingerprint(input({ amount: 50 }, more))).not.toBe(fingerprint(input({ amount: 50 })))
})
