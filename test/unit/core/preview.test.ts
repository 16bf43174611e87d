import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../lib/core/canonical-json.ts'
import { previewOf, redactText, summaryOf } from '../../../lib/core/preview.ts'

const shown = (value: Json, maxBytes?: number): Json =>
  JSON.parse(previewOf(value, maxBytes === undefined ? {} : { maxBytes }).preview) as Json

const letters = (alphabet: string, minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength })
const WORD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** A marker that no other generated text holds. */
const core = letters(WORD, 16, 40).map((text) => `Zq9${text}9qZ`)

const named = fc.constantFrom(
  'password',
  'apiKey',
  'Authorization',
  'x-api-key',
  'client_secret',
  'DB_PASSWD',
  'refreshToken',
  'Cookie',
)
const filler = fc.string({ maxLength: 30, unit: fc.constantFrom(...'abc xyz,.é\n/') })

/** A secret, and a text in which its shape or its name gives it away. */
const telling: fc.Arbitrary<{ secret: string; text: string }> = fc
  .tuple(core, named, filler, filler)
  .chain(([secret, name, before, after]) =>
    fc
      .constantFrom(
        `${before} ghp_${secret} ${after}`,
        `${before} sk_live_${secret} ${after}`,
        `${before} sk-ant-${secret} ${after}`,
        `${before} xoxb-${secret} ${after}`,
        `${before} csk_${secret} ${after}`,
        `${before} AIza0123${secret} ${after}`,
        `${before} eyJhbGciOi.${secret}.${secret} ${after}`,
        `${before} Bearer ${secret} ${after}`,
        `${before} -----BEGIN PRIVATE KEY-----\n${secret}\n${after}-----END PRIVATE KEY-----`,
        `${before} https://user:${secret}@host/x ${after}`,
        `${before} https://host/x?a=1&token=${secret}&b=2 ${after}`,
        `a=1&${name}=${secret}&b=2`,
        `${before}\n${name}: ${secret}\n${after}`,
        `curl -H "${name}: ${secret}" https://host`,
        `cmd --password=${secret} --x`,
        `cmd --password ${secret} --x`,
        `PASSWORD=${secret} cmd`,
        `${before}{"${name}": "${secret}", "b": 1}`,
        `${before}{\\"${name}\\":\\"${secret}\\"}`,
        JSON.stringify({ [name]: secret }),
        JSON.stringify({ a: [{ [name]: { deep: secret } }] }),
        JSON.stringify({ a: JSON.stringify({ b: JSON.stringify({ [name]: secret }) }) }),
      )
      .map((text) => ({ secret, text })),
  )

const plain = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>
/** Wraps a value somewhere in a structure, again and again. */
const wraps = fc.array(
  fc.tuple(plain, fc.string({ maxLength: 12 })).chain(([other, key]) =>
    fc.constantFrom<(inner: Json) => Json>(
      (inner) => [other, inner],
      (inner) => [inner, other],
      (inner) => ({ other, [key]: inner }),
      (inner) => ({ [key]: inner, zzz: other }),
      (inner) => JSON.stringify({ [key]: inner, other }),
    ),
  ),
  { maxLength: 6 },
)
const wrap = (value: Json, steps: readonly ((inner: Json) => Json)[]): Json =>
  steps.reduce((inner, step) => step(inner), value)

describe('a secret', () => {
  it('never appears, wherever and in whatever form it is planted', () => {
    fc.assert(
      fc.property(telling, wraps, ({ secret, text }, steps) => {
        const args = wrap(text, steps)
        expect(previewOf(args).preview).not.toContain(secret)
        expect(previewOf(args, { maxBytes: 400 }).preview).not.toContain(secret)
        expect(summaryOf('tool', args)).not.toContain(secret)
        expect(redactText(typeof args === 'string' ? args : JSON.stringify(args))).not.toContain(secret)
      }),
      { numRuns: 1_000 },
    )
  })

  it('never appears under a name that gives it away', () => {
    fc.assert(
      fc.property(core, named, wraps, (secret, name, steps) => {
        for (const value of [secret, [secret], { inner: secret }])
          expect(previewOf(wrap({ [name]: value }, steps)).preview).not.toContain(secret)
      }),
      { numRuns: 500 },
    )
  })

  it('does not show where a long text is cut, not even in part', () => {
    fc.assert(
      fc.property(telling, fc.integer({ min: 3_900, max: 4_200 }), ({ secret, text }, length) => {
        const args = { text: `${'lorem ipsum '.repeat(400).slice(0, length)} ${text} ${'x '.repeat(5_000)}` }
        const { preview } = previewOf(args)
        for (let size = 8; size <= secret.length; size++) expect(preview).not.toContain(secret.slice(0, size))
      }),
      { numRuns: 300 },
    )
  })
})

describe('a preview', () => {
  it('is always valid JSON within its bounds, and whole unless it says otherwise', () => {
    fc.assert(
      fc.property(plain, wraps, fc.integer({ min: 64, max: 3_000 }), (value, steps, maxBytes) => {
        const args = wrap(value, steps)
        const { preview, truncated } = previewOf(args, { maxBytes })
        expect(Buffer.byteLength(preview)).toBeLessThanOrEqual(maxBytes)
        const read = JSON.parse(preview) as Json
        if (!truncated && !preview.includes('[redacted]')) expect(read).toEqual(JSON.parse(JSON.stringify(args)))
      }),
      { numRuns: 500 },
    )
  })

  it('shows small arguments as they are', () => {
    const args = { amount: 5000, charge: 'ch_1', tags: ['a', 'b'], note: null, nested: { deep: [true, 0.5] } }
    expect(previewOf(args)).toEqual({ preview: JSON.stringify(args), truncated: false })
  })

  it('tells how much of a long text was left out', () => {
    const { preview, truncated } = previewOf({ text: 'a'.repeat(10_000), after: 1 })
    expect(truncated).toBe(true)
    expect(JSON.parse(preview)).toEqual({ text: `${'a'.repeat(4_096)}…5904 characters more`, after: 1 })
  })

  it('tells how much of a long list and of a large object was left out', () => {
    const list = shown(Array.from({ length: 5_000 }, (_, index) => index)) as Json[]
    expect(list.at(-1)).toBe(`…${5_000 - (list.length - 1)} more`)
    const object = shown(
      Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, index])),
    ) as object
    const entries = Object.entries(object)
    expect(entries.at(-1)).toEqual(['…', `${5_000 - (entries.length - 1)} more`])
  })

  it('gives every member a share when all are large', () => {
    const args = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`part${index}`, 'é'.repeat(50_000)]))
    expect(Object.keys(shown(args) as object)).toEqual(Object.keys(args))
  })

  it('ends at a depth', () => {
    let args: Json = 'bottom'
    for (let depth = 0; depth < 60; depth++) args = [args]
    const { preview, truncated } = previewOf(args)
    expect(truncated).toBe(true)
    expect(preview).toContain('…nested deeper')
  })

  it('escapes what would change how it is shown', () => {
    const { preview } = previewOf({ a: 'x\u202ey\u200bz\u009b1m' })
    expect(preview).toBe('{"a":"x\\u202ey\\u200bz\\u009b1m"}')
    expect(JSON.parse(preview)).toEqual({ a: 'x\u202ey\u200bz\u009b1m' })
  })

  it('does not cut a character in two', () => {
    const text = (shown({ a: `x${'😀'.repeat(5_000)}` }) as { a: string }).a
    expect(text).not.toMatch(/\p{Surrogate}/u)
  })
})

describe('a summary', () => {
  it('is one line of the tool and its arguments', () => {
    expect(summaryOf('stripe.refund', { amount: 5000, charge: 'ch_1', api_key: 'k' })).toBe(
      'stripe.refund  amount=5000 charge="ch_1" api_key="[redacted]"',
    )
    expect(summaryOf('ping', {})).toBe('ping')
    expect(summaryOf('sum', [1, 2])).toBe('sum  [1,2]')
    expect(summaryOf('note', { text: 'a\u202eb\u0007c' })).toBe('note  text="ab\\u0007c"')
    expect(summaryOf('to\nol\u001b[31m', {})).toBe('to ol [31m')
  })

  it('is short, and plain', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), plain, wraps, (tool, value, steps) => {
        const summary = summaryOf(tool, wrap(value, steps))
        expect(summary.length).toBeLessThanOrEqual(200)
        expect(summary).not.toMatch(/[\p{Cc}\p{Surrogate}\u200b-\u200f\u2028-\u202e\u2066-\u2069]/u)
      }),
    )
  })
})
