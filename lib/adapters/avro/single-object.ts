import type { Type } from 'avsc'
import type { AvroSchema } from '../../../schemas/index.ts'
import { schemaFingerprint } from './fingerprint.ts'
import { avroType } from './strict-types.ts'

/** Values of one schema as bytes: 0xC3 0x01, the writer's schema fingerprint (8 bytes, little-endian), the body. */
export interface SingleObject {
  /** Throws a TypeError that names the path of the field which does not fit, never its value. */
  encode(value: unknown): Uint8Array
  /** Throws when the bytes are no single object, of a schema that is not known, truncated, too long or malformed. */
  decode(bytes: Uint8Array): unknown
}

const MARKER = [0xc3, 0x01]
const HEADER_BYTES = 10
const FINGERPRINT_AT = 2
const SCRATCH_BYTES = 64 * 1024

/** Writes with `schema`; reads what was written with it or with one of the `older` ones, as if `schema` had written it. */
export function singleObject(schema: AvroSchema, older: readonly AvroSchema[]): SingleObject {
  const type = avroType(schema)
  const header = headerOf(schema)
  const writers = new Map(older.map((writer) => [schemaFingerprint(writer), writer]))
  const resolvers = new Map<bigint, ReturnType<Type['createResolver']>>()
  const scratch = Buffer.allocUnsafe(SCRATCH_BYTES)
  header.copy(scratch)

  const resolverFor = (fingerprint: bigint) => {
    const known = resolvers.get(fingerprint)
    if (known) return known
    const writer = writers.get(fingerprint)
    if (writer === undefined) {
      const hex = fingerprint.toString(16).padStart(16, '0')
      throw new Error(
        `no schema with the fingerprint ${hex} is known for ${type.name}: a newer version may have written it`,
      )
    }
    const resolver = type.createResolver(avroType(writer))
    resolvers.set(fingerprint, resolver)
    return resolver
  }

  return {
    encode(value) {
      const end = write(type, value, scratch)
      if (end > 0) return Buffer.from(scratch.subarray(0, end))
      const larger = Buffer.allocUnsafe(scratch.length - end)
      header.copy(larger)
      write(type, value, larger)
      return larger
    },

    decode(bytes) {
      const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      if (buffer.length < HEADER_BYTES || MARKER.some((byte, at) => buffer[at] !== byte))
        throw new Error('the bytes are not in Avro single-object encoding')
      const isCurrent = header.compare(buffer, 0, HEADER_BYTES) === 0
      const resolver = isCurrent ? undefined : resolverFor(buffer.readBigUInt64LE(FINGERPRINT_AT))
      const { value, offset } = read(type, buffer, resolver)
      if (offset < 0) throw new Error(`the bytes of ${type.name} are truncated`)
      if (offset < buffer.length) throw new Error(`${buffer.length - offset} bytes follow the end of ${type.name}`)
      return value
    },
  }
}

function headerOf(schema: AvroSchema): Buffer {
  const header = Buffer.from([...MARKER, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeBigUInt64LE(schemaFingerprint(schema), FINGERPRINT_AT)
  return header
}

/** Where the body ends, or minus the number of bytes that are missing. */
function write(type: Type, value: unknown, buffer: Buffer): number {
  try {
    return type.encode(value, buffer, HEADER_BYTES)
  } catch {
    // avsc's own error quotes the value, which may be nobody's business.
    throw new TypeError(misfit(type, value))
  }
}

function read(type: Type, buffer: Buffer, resolver: ReturnType<Type['createResolver']> | undefined) {
  try {
    return type.decode(buffer, HEADER_BYTES, resolver)
  } catch (error) {
    throw new Error(`the bytes of ${type.name} are malformed: ${error instanceof Error ? error.message : error}`)
  }
}

/** The first place where a value does not fit, as `ApprovalRequested.agent.user: string expected, got undefined`. */
function misfit(type: Type, value: unknown): string {
  const found: string[] = []
  type.isValid(value, {
    errorHook: (path, part, expected) => {
      found.push(`${[type.name, ...path].join('.')}: ${describe(expected)} expected, got ${kindOf(part)}`)
    },
  })
  return found[0] ?? `${type.name}: the value does not fit its schema`
}

function describe(type: Type): string {
  if ('types' in type) return (type.types as Type[]).map(describe).join(' or ')
  if ('symbols' in type) return `one of ${(type.symbols as string[]).join(', ')}`
  return type.typeName === 'long' ? 'safe integer' : type.typeName
}

const kindOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value === 'string' ? 'other text' : typeof value
