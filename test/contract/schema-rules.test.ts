import { describe, expect, it } from 'vitest'
import type { FieldSchema, RecordSchema } from '../../schemas/index.ts'
import { checkSchemas, incompatibilities } from '../../scripts/schema-rules.ts'

const event = (...fields: FieldSchema[]): RecordSchema => ({ type: 'record', name: 'v1.Event', doc: 'd', fields })
const field = (name: string, type: FieldSchema['type'], more: Partial<FieldSchema> = {}): FieldSchema => ({
  name,
  type,
  doc: 'd',
  ...more,
})
const word = (...symbols: string[]) => ({ type: 'enum' as const, name: 'Word', doc: 'd', symbols })

describe('a change is refused when old data could not be read, and names the field:', () => {
  const refused: [string, RecordSchema, RecordSchema, string][] = [
    [
      'a new field without a default',
      event(field('a', 'int'), field('b', 'int')),
      event(field('a', 'int')),
      'b: is new and has no default',
    ],
    ['another type', event(field('a', 'string')), event(field('a', 'int')), 'a: was int and is string'],
    ['a narrower type', event(field('a', 'int')), event(field('a', 'long')), 'a: was long and is int'],
    [
      'what was nullable no longer is',
      event(field('a', 'int')),
      event(field('a', ['null', 'int'])),
      'a: was null and is int',
    ],
    [
      'a branch of a union gone',
      event(field('a', ['null', 'int'])),
      event(field('a', ['null', 'string'])),
      'a: can no longer be string',
    ],
    ['a symbol gone', event(field('a', word('x'))), event(field('a', word('x', 'y'))), 'a: lost the symbol y'],
    [
      'a symbol gone that a default would swallow',
      event(field('a', { ...word('x'), default: 'x' })),
      event(field('a', word('x', 'y'))),
      'a: lost the symbol y',
    ],
    [
      'a symbol gone deep inside',
      event(field('l', { type: 'array', items: event(field('a', ['null', word('x')])) })),
      event(field('l', { type: 'array', items: event(field('a', ['null', word('x', 'y')])) })),
      'l[].a: lost the symbol y',
    ],
    [
      'a symbol gone from a type that is referred to by name',
      event(field('a', word('x')), field('b', 'Word')),
      event(field('a', word('x', 'y')), field('b', 'Word')),
      'b: lost the symbol y',
    ],
    [
      'another unit',
      event(field('a', { type: 'long', logicalType: 'timestamp-micros' })),
      event(field('a', { type: 'long', logicalType: 'timestamp-millis' })),
      'a: meant timestamp-millis and means timestamp-micros',
    ],
    [
      'a unit gone',
      event(field('a', 'long')),
      event(field('a', { type: 'long', logicalType: 'timestamp-millis' })),
      'a: meant timestamp-millis and means a plain value',
    ],
    ['another name of the record', { ...event(), name: 'v2.Event' }, event(), 'no alias found for v1.Event'],
  ]
  it.each(refused)('%s', (_, reader, writer, problem) => {
    expect(incompatibilities(reader, writer)).toContain(problem)
  })
})

describe('a change is allowed:', () => {
  const allowed: [string, RecordSchema, RecordSchema][] = [
    [
      'a new field with a default',
      event(field('a', 'int'), field('b', ['null', 'int'], { default: null })),
      event(field('a', 'int')),
    ],
    ['a field gone', event(), event(field('a', 'int'))],
    ['a wider type', event(field('a', 'long')), event(field('a', 'int'))],
    [
      'what was never null may be',
      event(field('a', ['null', 'string'], { default: null })),
      event(field('a', 'string')),
    ],
    ['a new symbol, in another order', event(field('a', word('y', 'x'))), event(field('a', word('x')))],
    ['a field renamed with an alias', event(field('b', 'int', { aliases: ['a'] })), event(field('a', 'int'))],
    ['other words in a doc', event({ ...field('a', 'int'), doc: 'other' }), event(field('a', 'int'))],
  ]
  it.each(allowed)('%s', (_, reader, writer) => {
    expect(incompatibilities(reader, writer)).toEqual([])
  })
})

describe('the check of all schemas', () => {
  const good = event(field('a', 'int'))
  const failures = (current: Record<string, RecordSchema>, published: Record<string, Record<string, RecordSchema>>) =>
    checkSchemas({ current, published }).flatMap(({ schema, version, problems }) =>
      problems.map((problem) => `${schema} ${version} ${problem}`),
    )

  it('passes what is documented, published and unchanged', () => {
    expect(failures({ t: good }, { '0.1.0': { t: good } })).toEqual([])
  })

  it('finds a missing doc of a record, a field and an enum', () => {
    const { doc: _, ...bare } = word('x')
    const undocumented = { ...event({ name: 'a', type: bare }), doc: ' ' }
    const found = ['v1.Event', 'a', 'a'].map((path) => `t null ${path}: has no doc`)
    expect(failures({ t: undocumented }, { '0.1.0': { t: undocumented } })).toEqual(found)
  })

  it.each([
    [['int', 'null'], undefined, 'a union is ["null", type]'],
    [['null', 'int', 'string'], null, 'a union is ["null", type]'],
    [['null', 'int'], undefined, 'what may be null has the default null'],
  ])('finds %j with the default %s', (type, fallback, problem) => {
    const schema = event(field('a', type, fallback === undefined ? {} : { default: fallback }))
    expect(failures({ t: schema }, { '0.1.0': { t: schema } })).toEqual([`t null a: ${problem}`])
  })

  it('compares with every version, and not with the latest alone', () => {
    const published = {
      '0.9.0': { t: event(field('a', 'string')) },
      '0.10.0': { t: event() },
    }
    const now = event(field('a', 'int', { default: 0 }))
    expect(failures({ t: now }, published)).toEqual([
      't 0.9.0 a: was string and is int',
      't 0.10.0 v1.Event: differs from the latest published version; publish it as a new one',
    ])
  })

  it('finds a topic that is gone, and one that was never published', () => {
    expect(failures({ t: good }, { '0.1.0': { old: good } })).toEqual([
      'old 0.1.0 the schema was removed',
      't 0.1.0 v1.Event: differs from the latest published version; publish it as a new one',
    ])
  })
})
