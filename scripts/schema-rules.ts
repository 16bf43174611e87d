import { fullName, parsingCanonicalForm } from '../lib/adapters/avro/fingerprint.ts'
import { avroType } from '../lib/adapters/avro/strict-types.ts'
import type { AvroSchema, EnumSchema, FieldSchema, RecordSchema } from '../schemas/index.ts'

/** One thing that was looked at. No problems: it holds. */
export interface Check {
  /** Topic of the schema. */
  schema: string
  /** The published version it was compared with, or null for a check of the current schema alone. */
  version: string | null
  rule: string
  /** Each begins with the path of the field at fault. */
  problems: string[]
}

export interface SchemaVersions {
  current: Readonly<Record<string, RecordSchema>>
  published: Readonly<Record<string, Readonly<Partial<Record<string, RecordSchema>>>>>
}

/**
 * Whether current schemas are documented, and read all that was ever published (BACKWARD_TRANSITIVE), by avsc's
 * resolution and by what avsc lets pass: symbols that a default would swallow, and changed units.
 */
export function checkSchemas({ current, published }: SchemaVersions): Check[] {
  const versions = Object.keys(published).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  const latest = versions.at(-1) ?? null
  const kept = versions.flatMap((version) =>
    Object.keys(published[version]!)
      .filter((topic) => current[topic] === undefined)
      .map((topic) => ({ schema: topic, version, rule: 'is still there', problems: ['the schema was removed'] })),
  )
  const checks = Object.entries(current).flatMap(([schema, reader]): Check[] => [
    { schema, version: null, rule: 'is documented', problems: undocumented(reader) },
    { schema, version: null, rule: 'marks what may be null', problems: badNullables(reader) },
    ...versions.flatMap((version) => {
      const writer = published[version]![schema]
      return writer ? [{ schema, version, rule: 'reads its data', problems: incompatibilities(reader, writer) }] : []
    }),
    {
      schema,
      version: latest,
      rule: 'is published',
      problems: isPublished(reader, latest === null ? undefined : published[latest]![schema])
        ? []
        : [`${reader.name}: differs from the latest published version; publish it as a new one`],
    },
  ])
  return [...kept, ...checks]
}

/** What a log may hold must stay readable, so nothing is written with a schema that was not kept. */
const isPublished = (schema: RecordSchema, latest: RecordSchema | undefined): boolean =>
  latest !== undefined && parsingCanonicalForm(schema) === parsingCanonicalForm(latest)

function undocumented(schema: RecordSchema): string[] {
  const missing: string[] = []
  walk(schema, (node, path) => {
    if (!node.doc?.trim()) missing.push(`${path}: has no doc`)
  })
  return missing
}

function badNullables(schema: RecordSchema): string[] {
  const bad: string[] = []
  walk(schema, (node, path) => {
    if (!Array.isArray(node.type)) return
    if (node.type[0] !== 'null' || node.type.length !== 2) bad.push(`${path}: a union is ["null", type]`)
    else if (!('default' in node && node.default === null)) bad.push(`${path}: what may be null has the default null`)
  })
  return bad
}

type Documented = RecordSchema | EnumSchema | FieldSchema

/** Every record, enum and field that the schema defines, with its path. */
function walk(schema: AvroSchema, visit: (node: Documented, path: string) => void, path = ''): void {
  if (typeof schema === 'string') return
  if (Array.isArray(schema)) {
    for (const branch of schema) walk(branch, visit, path)
  } else if (schema.type === 'record') {
    visit(schema, path || schema.name)
    for (const field of schema.fields) {
      const fieldPath = path ? `${path}.${field.name}` : field.name
      visit(field, fieldPath)
      walk(field.type, visit, fieldPath)
    }
  } else if (schema.type === 'enum') visit(schema, path || schema.name)
  else if (schema.type === 'array') walk(schema.items, visit, `${path}[]`)
}

/** Why data of `writer` can't be read as `reader`, each with its path; empty when it can. */
export function incompatibilities(reader: AvroSchema, writer: AvroSchema): string[] {
  const found = compare(expand(reader), expand(writer), '')
  if (found.length > 0) return found
  try {
    avroType(reader).createResolver(avroType(writer))
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

/** The same schema with full names, and with definitions in place of references. */
function expand(schema: AvroSchema, names = new Map<string, AvroSchema>(), namespace = ''): AvroSchema {
  if (typeof schema === 'string') return names.get(fullName(schema, namespace)) ?? fullName(schema, namespace)
  if (Array.isArray(schema)) return schema.map((branch) => expand(branch, names, namespace))
  if (schema.type === 'array') return { ...schema, items: expand(schema.items, names, namespace) }
  if (schema.type !== 'record' && schema.type !== 'enum') return schema
  const name = fullName(schema.name, schema.namespace ?? namespace)
  const inner = name.slice(0, Math.max(0, name.lastIndexOf('.')))
  const expanded =
    schema.type === 'enum'
      ? { ...schema, name }
      : {
          ...schema,
          name,
          fields: schema.fields.map((field) => ({ ...field, type: expand(field.type, names, inner) })),
        }
  names.set(name, expanded)
  return expanded
}

/** What a reader of the first type may find written as another (Avro specification, «Schema Resolution»). */
const PROMOTIONS: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
}

function compare(reader: AvroSchema, writer: AvroSchema, path: string): string[] {
  if (Array.isArray(writer)) return writer.flatMap((branch) => compare(reader, branch, path))
  if (Array.isArray(reader)) {
    const branch =
      reader.find((each) => kindOf(each) === kindOf(writer)) ?? reader.find((each) => promotes(each, writer))
    return branch === undefined ? [`${path}: can no longer be ${kindOf(writer)}`] : compare(branch, writer, path)
  }
  if (kindOf(reader) !== kindOf(writer) && !promotes(reader, writer))
    return [`${path}: was ${kindOf(writer)} and is ${kindOf(reader)}`]
  if (typeof reader === 'string' || typeof writer === 'string') return logicalChange(reader, writer, path)
  if (reader.type === 'record' && writer.type === 'record') return compareFields(reader, writer, path)
  if (reader.type === 'enum' && writer.type === 'enum')
    return writer.symbols
      .filter((symbol) => !reader.symbols.includes(symbol))
      .map((symbol) => `${path}: lost the symbol ${symbol}`)
  if (reader.type === 'array' && writer.type === 'array') return compare(reader.items, writer.items, `${path}[]`)
  return logicalChange(reader, writer, path)
}

function compareFields(reader: RecordSchema, writer: RecordSchema, path: string): string[] {
  return reader.fields.flatMap((field) => {
    const fieldPath = path ? `${path}.${field.name}` : field.name
    const written = writer.fields.find(({ name }) => name === field.name || field.aliases?.includes(name))
    if (written) return compare(field.type, written.type, fieldPath)
    return field.default === undefined ? [`${fieldPath}: is new and has no default`] : []
  })
}

function logicalChange(reader: AvroSchema, writer: AvroSchema, path: string): string[] {
  const [now, before] = [logicalTypeOf(reader), logicalTypeOf(writer)]
  return now === before ? [] : [`${path}: meant ${before} and means ${now}`]
}

const logicalTypeOf = (schema: AvroSchema): string =>
  (typeof schema === 'object' && 'logicalType' in schema && schema.logicalType) || 'a plain value'

const kindOf = (schema: AvroSchema): string =>
  typeof schema === 'string' ? schema : Array.isArray(schema) ? 'union' : schema.type

const promotes = (reader: AvroSchema, writer: AvroSchema): boolean =>
  PROMOTIONS[kindOf(reader)]?.includes(kindOf(writer)) ?? false
