import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CountersignError } from '../../../lib/core/errors.ts'
import { parseStrictJson } from '../../../lib/core/strict-json.ts'

/** The refusal's first error, or undefined when the text was read. */
function refusal(text: string, options?: { maxDepth: number }) {
  try {
    parseStrictJson(text, options)
    return undefined
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error
    expect(error.code).toBe('invalid_body')
    return error.details.errors?.[0]
  }
}

it('reads what JSON.parse reads', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(0, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      fc.pre(!text.includes('__proto__') && !/\d{16}/.test(text))
      expect(JSON.stringify(parseStrictJson(text))).toBe(JSON.stringify(JSON.parse(text)))
    }),
  )
})

it('refuses what JSON.parse refuses', () => {
  const soup = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '1',
      '-',
      '0',
      '.5',
      'e3',
      'true',
      'nul',
      'null',
      ' ',
      '\n',
      '\\',
      '"',
      'é',
      '\u0001',
    ),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(soup, (pieces) => {
      const text = pieces.join('')
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      const { message = '' } = refusal(text) ?? {}
      if (isJson) expect(message).toMatch(/^$|twice|lose digits/)
      else expect(message).not.toBe('')
    }),
    { numRuns: 3_000 },
  )
})

it.each([
  ['', ''],
  [' ', ''],
  ['tru', ''],
  ['nulll', ''],
  ['1 2', ''],
  ['01', ''],
  ['+1', ''],
  ['.5', ''],
  ['[1,]', '[1]'],
  ['{"a":1,}', ''],
  ['{a:1}', ''],
  ["{'a':1}", ''],
  ['{"a" 1}', 'a'],
  ['{"a":}', 'a'],
  ['["\u0001"]', '[0]'],
  ['"\\x41"', ''],
  ['"\\u12"', ''],
  ['"open', ''],
  ['"open\\', ''],
  ['\ufeff{}', ''],
  ['{}\u00a0', ''],
  ['[1', ''],
  ['// no\n1', ''],
  ['NaN', ''],
])('refuses %j', (text, path) => {
  expect(refusal(text)).toMatchObject({ path })
})

describe('what two readers could read in two ways', () => {
  it.each([
    ['{"a":1,"a":2}', 'a'],
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"\\u0061":1}', 'a'],
    ['{"x":[{"amount":1,"amount":50000}]}', 'x[0].amount'],
    ['{"1":1,"1":2}', '…'],
  ])('a key given twice: %s', (text, path) => {
    expect(refusal(text)).toMatchObject({ path, message: expect.stringContaining('twice') })
  })

  it.each([
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567890',
    '0.12345678901234567890',
    '1e400',
    '-1e400',
    '1e-400',
    '1.00000000000000000001',
  ])('a number that would lose digits: %s', (text) => {
    expect(refusal(`{"n":[${text}]}`)).toMatchObject({ path: 'n[0]', message: expect.stringContaining('lose digits') })
  })

  it.each([
    '0',
    '-0',
    '9007199254740991',
    '-9007199254740991',
    '0.1',
    '1.50',
    '1e21',
    '1E+2',
    '100.0e-2',
    '5e-324',
    '1.7976931348623157e308',
    '0e999',
    '0.30000000000000004',
  ])('but not %s', (text) => {
    expect(parseStrictJson(text)).toBe(JSON.parse(text))
  })

  it('keeps every double that JavaScript writes', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        fc.pre(!Number.isInteger(number) || Number.isSafeInteger(number))
        expect(parseStrictJson(JSON.stringify([number]))).toEqual(JSON.parse(JSON.stringify([number])))
      }),
    )
  })

  it('a prototype, and half a character', () => {
    expect(refusal('{"__proto__":{"admin":true}}')).toMatchObject({ path: '__proto__' })
    expect(refusal('{"\\u005f_proto__":1}')).toMatchObject({ path: '__proto__' })
    expect(parseStrictJson('{"constructor":1,"toString":2,"hasOwnProperty":3}')).toEqual(
      JSON.parse('{"constructor":1,"toString":2,"hasOwnProperty":3}'),
    )
    expect(refusal('["\\ud83d"]')).toMatchObject({ path: '[0]' })
    expect(refusal('["\\ude00\\ud83d"]')).toMatchObject({ path: '[0]' })
    expect(refusal('{"\\ud800":1}')).toBeDefined()
    expect(parseStrictJson('"\\ud83d\\ude00"')).toBe('😀')
  })
})

it('stops at the depth that it is given', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  expect(refusal(nested(64))).toBeUndefined()
  expect(refusal(nested(65))?.message).toContain('deeper than 64')
  expect(refusal(nested(3), { maxDepth: 2 })).toBeDefined()
  expect(refusal('{"a":'.repeat(1_000_000))?.message).toContain('deeper')
})

it('never repeats the body', () => {
  for (const text of [
    '{"sk_live_4242424242424242": 1, "sk_live_4242424242424242": 2}',
    '{"password": hunter2}',
    '"hunter2',
  ])
    expect(JSON.stringify(refusal(text))).not.toMatch(/4242|hunter2/)
})

it('says where', () => {
  expect(refusal('{"a":\n  x}')?.message).toMatch(/character 9\b/)
})
