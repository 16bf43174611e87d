import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type CallbackGrant, callbackToken, readCallbackToken } from '../../../lib/core/callback-token.ts'

const key = randomBytes(32)
const grant: CallbackGrant = {
  decision: 'approve',
  approvalId: 'apr_01jd0000000000000000000000',
  endpoint: 'hook-1',
  tenant: 'default',
  approver: 'alice',
  url: 'https://example.com/hook',
  expiresAt: Date.UTC(2026, 0, 1),
}
const isTaken = (token: string, more: Partial<CallbackGrant> = {}, by = key) =>
  readCallbackToken(token)?.isSigned(by, { ...grant, ...more }) ?? false

it('says what it is good for, and stands in a path as it is', () => {
  const token = callbackToken(key, { ...grant, endpoint: `${'e'.repeat(60)}@._-` })
  expect(encodeURI(token)).toBe(token)
  expect(token.length).toBeLessThan(200)
  expect(readCallbackToken(callbackToken(key, grant))).toMatchObject({
    decision: 'approve',
    approvalId: grant.approvalId,
    endpoint: 'hook-1',
    expiresAt: grant.expiresAt,
  })
  expect(isTaken(callbackToken(key, grant))).toBe(true)
})

it('is of its key, its tenant, its approver and its URL', () => {
  const token = callbackToken(key, grant)
  for (const more of [{ tenant: 'other' }, { approver: 'bob' }, { url: 'https://example.com/hook?moved' }])
    expect(isTaken(token, more), JSON.stringify(more)).toBe(false)
  expect(isTaken(token, {}, randomBytes(32))).toBe(false)
  expect(token).not.toContain('alice')
})

it.each<[string, Partial<CallbackGrant>]>([
  ['decision', { decision: 'deny' }],
  ['approval', { approvalId: 'apr_01jd0000000000000000000001' }],
  ['endpoint', { endpoint: 'hook-2' }],
  ['time', { expiresAt: grant.expiresAt + 1 }],
])('cannot be bent to another %s', (_name, more) => {
  const signature = callbackToken(key, grant).split('.')[3]!
  const bent = callbackToken(key, { ...grant, ...more }).split('.')
  bent[3] = signature
  expect(isTaken(bent.join('.'))).toBe(false)
})

it('takes nothing else for a token, and throws at nothing', () => {
  fc.assert(fc.property(fc.string(), (text) => !isTaken(text)))
  const token = callbackToken(key, grant)
  fc.assert(
    fc.property(fc.nat({ max: token.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, char) => {
      fc.pre(token[at] !== char)
      return !isTaken(token.slice(0, at) + char + token.slice(at + 1))
    }),
  )
})
