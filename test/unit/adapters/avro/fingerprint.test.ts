import avsc from 'avsc'
import { describe, expect, it } from 'vitest'
import { crc64Avro, parsingCanonicalForm, schemaFingerprint } from '../../../../lib/adapters/avro/fingerprint.ts'
import { type AvroSchema, published, schemas } from '../../../../schemas/index.ts'

// From the Avro project's share/test/data/schema-tests.txt: schema, canonical form, fingerprint as a signed long.
const VECTORS: [AvroSchema, string, bigint][] = [
  ['null', '"null"', 7195948357588979594n],
  [{ type: 'boolean' }, '"boolean"', -6970731678124411036n],
  ['int', '"int"', 8247732601305521295n],
  [{ type: 'long' }, '"long"', -3434872931120570953n],
  ['float', '"float"', 5583340709985441680n],
  ['double', '"double"', -8181574048448539266n],
  ['bytes', '"bytes"', 5746618253357095269n],
  ['string', '"string"', -8142146995180207161n],
  [[], '[]', -1241056759729112623n],
  [['int', { type: 'boolean' }], '["int","boolean"]', 5392556393470105090n],
  [
    { fields: [], type: 'record', name: 'foo', namespace: 'x.y' },
    '{"name":"x.y.foo","type":"record","fields":[]}',
    5916914534497305771n,
  ],
  [
    { fields: [], type: 'record', name: 'a.b.foo', namespace: 'x.y' },
    '{"name":"a.b.foo","type":"record","fields":[]}',
    -4616218487480524110n,
  ],
  [
    { fields: [], type: 'record', name: 'foo', doc: 'foo', aliases: ['foo', 'bar'] },
    '{"name":"foo","type":"record","fields":[]}',
    -4824392279771201922n,
  ],
  [
    {
      fields: [
        { type: 'boolean', aliases: [], name: 'f1', default: true },
        { name: 'f2', doc: 'Hello', type: 'int' },
      ],
      type: 'record',
      name: 'foo',
    },
    '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"},{"name":"f2","type":"int"}]}',
    -4860222112080293046n,
  ],
  [
    { namespace: 'x.y.z', type: 'enum', name: 'foo', doc: 'foo bar', symbols: ['A1', 'A2'] },
    '{"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]}',
    -4448647247586288245n,
  ],
  [{ items: { type: 'null' }, type: 'array' }, '{"type":"array","items":"null"}', -589620603366471059n],
  [
    {
      name: 'PigValue',
      type: 'record',
      fields: [{ name: 'value', type: ['null', 'int', 'long', 'PigValue'] }],
    },
    '{"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]}',
    -1759257747318642341n,
  ],
]

describe('the Parsing Canonical Form and its CRC-64-AVRO', () => {
  it.each(VECTORS)('of %j are those of the Avro project', (schema, canonical, fingerprint) => {
    expect(parsingCanonicalForm(schema)).toBe(canonical)
    expect(BigInt.asIntN(64, schemaFingerprint(schema))).toBe(fingerprint)
  })

  it('of no bytes is the empty fingerprint of the specification', () => {
    expect(crc64Avro(new Uint8Array())).toBe(0xc15d213aa4d7a795n)
  })

  it('drops logical types and gives inner names the namespace of the record around them', () => {
    const schema: AvroSchema = {
      type: 'record',
      name: 'a.b.Outer',
      fields: [
        { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
        { name: 'word', type: { type: 'enum', name: 'Word', symbols: ['yes'] } },
        { name: 'again', type: ['null', 'Word'], default: null },
      ],
    }
    expect(parsingCanonicalForm(schema)).toBe(
      '{"name":"a.b.Outer","type":"record","fields":[{"name":"at","type":"long"},' +
        '{"name":"word","type":{"name":"a.b.Word","type":"enum","symbols":["yes"]}},' +
        '{"name":"again","type":["null","a.b.Word"]}]}',
    )
  })

  it.each(Object.entries(schemas))('of %s agree with what avsc makes of it', (_, schema) => {
    const avscType = avsc.Type.forSchema(schema as Parameters<typeof avsc.Type.forSchema>[0])
    expect(parsingCanonicalForm(schema)).toBe(JSON.stringify(avscType.schema()))
  })

  it('of published schemas stay what they were', () => {
    const hex = Object.entries(published['0.1.0'] ?? {}).map(([topic, schema]) => [
      topic,
      schemaFingerprint(schema).toString(16),
    ])
    expect(Object.fromEntries(hex)).toEqual({
      'approval.requested': 'bfe8eb41aa944a73',
      'approval.decide': 'eed1b83ff901da57',
      'approval.decided': '6ecf465653779a0c',
      'approval.settled': '39ffde35443909ea',
    })
  })
})
