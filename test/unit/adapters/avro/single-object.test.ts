import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { singleObject } from '../../../../lib/adapters/avro/single-object.ts'
import { type AvroSchema, type RecordSchema, schemas, topics } from '../../../../schemas/index.ts'
import { payloads } from './arbitrary-events.ts'

describe('bytes', () => {
  it('are the example of the Avro specification, after marker and fingerprint', () => {
    const schema: AvroSchema = {
      type: 'record',
      name: 'test',
      fields: [
        { name: 'a', type: 'long' },
        { name: 'b', type: 'string' },
      ],
    }
    const bytes = singleObject(schema, []).encode({ a: 27, b: 'foo' })
    expect([...bytes.subarray(0, 2)]).toEqual([0xc3, 0x01])
    expect([...bytes.subarray(10)]).toEqual([0x36, 0x06, 0x66, 0x6f, 0x6f])
  })

  it('begin with the fingerprint, little-endian', () => {
    const bytes = singleObject('int', []).encode(1)
    expect(Buffer.from(bytes).toString('hex')).toBe('c3018f5c393f1ad5757202')
  })

  it('are UTF-8 even where a string is half a surrogate pair', () => {
    const strings = singleObject('string', [])
    const long = 'x'.repeat(100)
    for (const [before, after] of [
      ['cut \ud83c', 'cut \ufffd'],
      ['\udfd4 cut', '\ufffd cut'],
      [`${long}\ud83c`, `${long}\ufffd`],
    ] as const) {
      const bytes = strings.encode(before)
      expect(Buffer.from(bytes).includes(Buffer.from('\ufffd'))).toBe(true)
      expect(strings.decode(bytes)).toBe(after)
    }
    expect(strings.decode(strings.encode('whole \ud83c\udfd4'))).toBe('whole \ud83c\udfd4')
  })
})

describe('a reader of a newer schema', () => {
  const old: RecordSchema = {
    type: 'record',
    name: 'v1.Event',
    fields: [
      { name: 'gone', type: { type: 'array', items: 'string' } },
      { name: 'id', type: 'string' },
      { name: 'count', type: 'int' },
      { name: 'was', type: ['null', 'string'], default: null },
      { name: 'word', type: { type: 'enum', name: 'Word', symbols: ['yes', 'no', 'maybe'], default: 'no' } },
    ],
  }
  const young: RecordSchema = {
    type: 'record',
    name: 'v1.Event',
    fields: [
      { name: 'word', type: { type: 'enum', name: 'Word', symbols: ['no', 'yes'], default: 'no' } },
      { name: 'note', type: ['null', 'string'], default: null },
      { name: 'tags', type: { type: 'array', items: 'string' }, default: [] },
      { name: 'count', type: 'long' },
      { name: 'is', type: ['null', 'string'], default: null, aliases: ['was'] },
      { name: 'id', type: 'string' },
    ],
  }
  const written = (word: string) =>
    singleObject(old, []).encode({ gone: ['a', 'b'], id: 'x', count: 7, was: 'here', word })

  it('fills new fields with their defaults, follows aliases and forgets what is gone', () => {
    const expected = { word: 'yes', note: null, tags: [], count: 7, is: 'here', id: 'x' }
    const reader = singleObject(young, [old])
    expect(reader.decode(written('yes'))).toStrictEqual(expected)
    expect(reader.decode(written('yes'))).toStrictEqual(expected)
  })

  it('reads a word that it does not know as the default', () => {
    expect(singleObject(young, [old]).decode(written('maybe'))).toMatchObject({ word: 'no' })
  })

  it('gives every event lists of its own', () => {
    const reader = singleObject(young, [old])
    const first = reader.decode(written('yes')) as { tags: string[] }
    first.tags.push('mine')
    expect(reader.decode(written('yes'))).toMatchObject({ tags: [] })
  })

  it('refuses a schema that it was not given, by fingerprint', () => {
    expect(() => singleObject(young, []).decode(written('yes'))).toThrow(
      /^no schema with the fingerprint [0-9a-f]{16} is known for v1.Event/,
    )
  })

  it('finds bytes of an older schema truncated and overlong too', () => {
    const reader = singleObject(young, [old])
    expect(() => reader.decode(written('yes').subarray(0, -1))).toThrow('truncated')
    expect(() => reader.decode(Buffer.concat([written('yes'), Buffer.alloc(2)]))).toThrow('2 bytes follow')
  })

  it('refuses a list in a forgotten field that claims more items than there are bytes', () => {
    const bytes = Buffer.concat([written('yes').subarray(0, 10), Buffer.from([0xfe, 0xff, 0xff, 0xff, 0x7f])])
    expect(() => singleObject(young, [old]).decode(bytes)).toThrow('longer than the bytes')
  })
})

describe('malformed bytes', () => {
  it.each(topics)('of %s are refused, or are an event after all', (topic) => {
    const object = singleObject(schemas[topic], [])
    const damage = fc.record({
      at: fc.nat(),
      bytes: fc.uint8Array({ maxLength: 12 }),
      removed: fc.nat({ max: 12 }),
    })
    fc.assert(
      fc.property(payloads[topic], damage, (data, { at, bytes, removed }) => {
        const whole = object.encode(data)
        const cut = 10 + (at % (whole.length - 10))
        const damaged = Buffer.concat([whole.subarray(0, cut), bytes, whole.subarray(cut + removed)])
        let decoded: unknown
        try {
          decoded = object.decode(damaged)
        } catch (error) {
          expect((error as Error).message).toMatch(/truncated|malformed|bytes follow/)
          return
        }
        expect(() => object.encode(decoded)).not.toThrow()
      }),
      { numRuns: 300 },
    )
  })

  it.each(topics)('of %s that end early are refused wherever they end', (topic) => {
    const object = singleObject(schemas[topic], [])
    fc.assert(
      fc.property(payloads[topic], fc.nat(), (data, length) => {
        const whole = object.encode(data)
        expect(() => object.decode(whole.subarray(0, length % whole.length))).toThrow()
      }),
    )
  })

  const lists = singleObject({ type: 'array', items: 'string' }, [])
  const header = lists.encode([]).subarray(0, 10)
  const listOf = (...body: number[]) => lists.decode(Buffer.concat([header, Buffer.from(body)]))

  it('with a list in blocks, with and without their sizes, are read as any writer may write them', () => {
    expect(listOf(0x02, 0x02, 0x61, 0x01, 0x04, 0x02, 0x62, 0x00)).toEqual(['a', 'b'])
  })

  it.each([
    ['billions of items', [0xfe, 0xff, 0xff, 0xff, 0x7f]],
    ['billions of items in a second block', [0x02, 0x00, 0xfe, 0xff, 0xff, 0xff, 0x7f]],
    ['a number that never ends', new Array(200).fill(0xff)],
  ])('with %s are refused at once', (_, body) => {
    expect(() => listOf(...body)).toThrow(/malformed|truncated/)
  })

  it('with a long past the safe integers are refused', () => {
    const longs = singleObject('long', [])
    const bytes = Buffer.concat([longs.encode(0).subarray(0, 10), Buffer.from('feffffffffffffffff01', 'hex')])
    expect(() => longs.decode(bytes)).toThrow('precision loss')
  })

  it('with an int past 32 bits are refused', () => {
    const ints = singleObject('int', [])
    const body = singleObject('long', [])
      .encode(2 ** 31)
      .subarray(10)
    expect(() => ints.decode(Buffer.concat([ints.encode(0).subarray(0, 10), body]))).toThrow('more than 32 bits')
  })

  it.each([[''], ['c3'], ['c301'], ['c30200000000000000000000'], ['0000000001020304050607']])(
    '%s are no single object',
    (hex) => {
      expect(() => lists.decode(Buffer.from(hex, 'hex'))).toThrow('not in Avro single-object encoding')
    },
  )
})
