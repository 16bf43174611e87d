import { type AvroSchema, published, type RecordSchema, schemas } from '../../../schemas/index.ts'
import { CountersignError } from '../../core/errors.ts'
import { TOPICS, type Topic } from '../../core/events.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import { avroCodec, type Contract } from './event-codec.ts'
import { PRIMITIVES, schemaFingerprint } from './fingerprint.ts'
import { RegistryError, type SchemaRegistry } from './schema-registry.ts'

/** Confluent's wire format: a zero, the schema's id (4 bytes, big-endian), the body. */
const MAGIC = 0
const PREFIX_BYTES = 5
/** The header of a single object: C3 01, and the writer's fingerprint. */
const MARKER = [0xc3, 0x01]
const HEADER_BYTES = 10
const FINGERPRINT_AT = 2

/**
 * Events in Confluent's wire format, their schemas registered; reads single-object encoding too. A schema id that comes
 * in is looked up once. Rejects with `bus_unavailable` when the registry is away, RegistryError when it refuses a schema.
 */
export async function registeredAvroCodec(deps: {
  registry: SchemaRegistry
  /** Put before the names of topics. */
  topicPrefix?: string
  contract?: Contract
}): Promise<EventCodec> {
  const { registry, topicPrefix = '', contract = { schemas, published } } = deps
  const ids = new Map<Topic, number>()
  const headers = new Map<number, Uint8Array>()
  const unreadable = new Map<number, Error>()
  const lookups = new Map<number, Promise<void>>()
  let versions = contract.published
  let codec = avroCodec(contract)
  for (const topic of TOPICS) {
    const schema = contract.schemas[topic]
    const id = await available(registry.register(`${topicPrefix}${topic}-value`, schema))
    ids.set(topic, id)
    headers.set(id, headerOf(schema))
  }

  async function learn(topic: Topic, id: number): Promise<void> {
    const schema = await available(registry.find(id))
    if (schema === undefined) return
    try {
      const writer = readable(schema)
      const header = headerOf(writer)
      codec = avroCodec({ ...contract, published: { ...versions, [`schema ${id}`]: { [topic]: writer } } })
      versions = { ...versions, [`schema ${id}`]: { [topic]: writer } }
      headers.set(id, header)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      unreadable.set(id, new Error(`what the schema ${id} wrote cannot be read: ${why}`, { cause: error }))
    }
  }

  return {
    encode(event, source) {
      const { value, headers } = codec.encode(event, source)
      return { value: withId(value, ids.get(event.topic)!), headers }
    },

    prepare(topic, { value }) {
      const id = idOf(value)
      if (id === undefined || headers.has(id) || unreadable.has(id)) return undefined
      const lookup = lookups.get(id) ?? learn(topic, id).finally(() => lookups.delete(id))
      lookups.set(id, lookup)
      return lookup
    },

    decode(topic, encoded) {
      const id = idOf(encoded.value)
      if (id === undefined) return codec.decode(topic, encoded)
      const header = headers.get(id)
      const problem = unreadable.get(id)
      if (problem) throw problem
      if (!header) throw new Error(`the schema registry has no Avro schema with the id ${id}`)
      const value = Buffer.concat([header, encoded.value.subarray(PREFIX_BYTES)])
      return codec.decode(topic, { ...encoded, value })
    },
  }
}

function idOf(value: Uint8Array): number | undefined {
  if (value[0] !== MAGIC || value.length < PREFIX_BYTES) return undefined
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(1)
}

function withId(singleObject: Uint8Array, id: number): Uint8Array {
  // The shorter prefix is written over the end of the longer one.
  const framed = Buffer.from(singleObject.buffer, singleObject.byteOffset, singleObject.byteLength)
  const start = HEADER_BYTES - PREFIX_BYTES
  framed.writeUInt8(MAGIC, start)
  framed.writeUInt32BE(id, start + 1)
  return framed.subarray(start)
}

function headerOf(schema: RecordSchema): Uint8Array {
  const header = Buffer.from([...MARKER, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeBigUInt64LE(schemaFingerprint(schema), FINGERPRINT_AT)
  return header
}

/** A record of the kinds of types that fingerprints tell apart; throws for others. */
function readable(schema: AvroSchema): RecordSchema {
  if (typeof schema === 'string' || Array.isArray(schema) || schema.type !== 'record')
    throw new TypeError('it is no record')
  for (const { name, type } of schema.fields) check(type, name)
  return schema
}

function check(schema: AvroSchema, name: string): void {
  if (typeof schema === 'string') return
  if (Array.isArray(schema)) for (const branch of schema) check(branch, name)
  else if (schema.type === 'record') readable(schema)
  else if (schema.type === 'array') check(schema.items, name)
  else if (schema.type !== 'enum' && !PRIMITIVES.has(schema.type))
    throw new TypeError(`the type of ${name} is not supported`)
}

async function available<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof RegistryError && error.isFinal) throw error
    throw new CountersignError('bus_unavailable', 'The schema registry cannot be reached.', { cause: error })
  }
}
