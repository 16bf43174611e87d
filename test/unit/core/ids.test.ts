import fc from 'fast-check'
import { expect, it } from 'vitest'
import { approvalIdForKey, approvalIdFrom, base32, isApprovalId } from '../../../lib/core/ids.ts'

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 })
const filled = (byte: number) => new Uint8Array(16).fill(byte)

it('writes 16 bytes as 26 characters of Crockford base32', () => {
  expect(base32(filled(0))).toBe('0'.repeat(26))
  expect(base32(filled(255))).toBe(`7${'z'.repeat(25)}`)
  expect(base32(Uint8Array.of(...filled(0).subarray(1), 1))).toBe(`${'0'.repeat(25)}1`)
  expect(base32(Uint8Array.of(...filled(0).subarray(1), 33))).toBe(`${'0'.repeat(24)}11`)
  // The ULID 01ARZ3NDEKTSV4RRFFQ69G5FAV and its bytes.
  expect(base32(Buffer.from('01563e3ab5d3d6764c61efb99302bd5b', 'hex'))).toBe('01arz3ndektsv4rrffq69g5fav')
  expect(() => base32(new Uint8Array(15))).toThrow(RangeError)
})

it('sorts ids as their bytes sort', () => {
  fc.assert(
    fc.property(bytes16, bytes16, (a, b) => {
      const byBytes = Math.sign(Buffer.compare(a, b))
      const [idA, idB] = [approvalIdFrom(a), approvalIdFrom(b)]
      expect(idA < idB ? -1 : idA > idB ? 1 : 0).toBe(byBytes)
      expect(isApprovalId(idA)).toBe(true)
    }),
  )
})

it('leads one key of one agent to one id, and everything else to others', () => {
  const id = approvalIdForKey('default', 'key_1', 'retry-1')
  expect(isApprovalId(id)).toBe(true)
  expect(approvalIdForKey('default', 'key_1', 'retry-1')).toBe(id)
  const others = [
    approvalIdForKey('other', 'key_1', 'retry-1'),
    approvalIdForKey('default', 'key_2', 'retry-1'),
    approvalIdForKey('default', 'key_1', 'retry-2'),
    approvalIdForKey('defaul', 'tkey_1', 'retry-1'),
    approvalIdForKey('default","key_1', '', 'retry-1'.slice(0)),
  ]
  expect(new Set([id, ...others]).size).toBe(6)
})

it.each([
  '',
  'apr_',
  'APR_00000000000000000000000000',
  'apr_8zzzzzzzzzzzzzzzzzzzzzzzzz',
  'apr_0000000000000000000000000i',
  'apr_000000000000000000000000000',
  ' apr_00000000000000000000000000',
  'apr_00000000000000000000000000\n',
])('does not take %j for an id', (text) => expect(isApprovalId(text)).toBe(false))
