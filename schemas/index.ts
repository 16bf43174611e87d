import { readdirSync, readFileSync } from 'node:fs'

/** Topics of the bus; each has its schema in `<topic>.avsc`. */
export const topics = [
  'approval.requested',
  'approval.decide',
  'approval.decided',
  'approval.settled',
  'approval.expiring',
  'approval.escalated',
] as const
export type SchemaTopic = (typeof topics)[number]

/** An Avro 1.12 schema as JSON, as far as the contract uses the language. */
export type AvroSchema = string | AvroSchema[] | RecordSchema | EnumSchema | ArraySchema | PrimitiveSchema

interface NamedSchema {
  name: string
  namespace?: string
  aliases?: string[]
  doc?: string
}

export interface RecordSchema extends NamedSchema {
  type: 'record'
  fields: FieldSchema[]
}

export interface FieldSchema {
  name: string
  type: AvroSchema
  doc?: string
  default?: unknown
  aliases?: string[]
}

export interface EnumSchema extends NamedSchema {
  type: 'enum'
  symbols: string[]
  default?: string
}

export interface ArraySchema {
  type: 'array'
  items: AvroSchema
}

export interface PrimitiveSchema {
  type: 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'
  logicalType?: string
}

/** What producers of this version write, by topic. */
export const schemas = Object.fromEntries(topics.map((topic) => [topic, readSchema(`./${topic}.avsc`)])) as Readonly<
  Record<SchemaTopic, RecordSchema>
>

export type PublishedSchemas = Readonly<Partial<Record<SchemaTopic, RecordSchema>>>

/** The schemas of every released version: what may still be in a log, by version and topic. */
export const published: Readonly<Record<string, PublishedSchemas>> = Object.fromEntries(
  readdirSync(new URL('./published/', import.meta.url)).map((version) => [version, readVersion(version)]),
)

function readVersion(version: string): PublishedSchemas {
  const files = readdirSync(new URL(`./published/${version}/`, import.meta.url))
  return Object.fromEntries(
    topics
      .filter((topic) => files.includes(`${topic}.avsc`))
      .map((topic) => [topic, readSchema(`./published/${version}/${topic}.avsc`)]),
  )
}

function readSchema(path: string): RecordSchema {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}
