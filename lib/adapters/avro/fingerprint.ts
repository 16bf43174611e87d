import type { AvroSchema } from '../../../schemas/index.ts'

const EMPTY = 0xc15d213aa4d7a795n

const TABLE = BigUint64Array.from({ length: 256 }, (_, byte) => {
  let rest = BigInt(byte)
  for (let bit = 0; bit < 8; bit++) rest = (rest >> 1n) ^ (EMPTY & -(rest & 1n))
  return BigInt.asUintN(64, rest)
})

/** CRC-64-AVRO (Rabin) of bytes, as the Avro specification gives it under «Schema Fingerprints». */
export function crc64Avro(bytes: Uint8Array): bigint {
  let crc = EMPTY
  for (const byte of bytes) crc = (crc >> 8n) ^ TABLE[Number((crc ^ BigInt(byte)) & 0xffn)]!
  return crc
}

/** The fingerprint that single-object encoding carries: CRC-64-AVRO of the Parsing Canonical Form. */
export const schemaFingerprint = (schema: AvroSchema): bigint => crc64Avro(Buffer.from(parsingCanonicalForm(schema)))

export const PRIMITIVES: ReadonlySet<string> = new Set([
  'null',
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'bytes',
  'string',
])

/**
 * What of a schema matters for reading data, in one spelling (Avro specification, «Parsing Canonical Form»):
 * full names, no attributes but those needed, in the fixed order, no white space.
 */
export const parsingCanonicalForm = (schema: AvroSchema): string => JSON.stringify(canonical(schema, ''))

function canonical(schema: AvroSchema, namespace: string): unknown {
  if (typeof schema === 'string') return fullName(schema, namespace)
  if (Array.isArray(schema)) return schema.map((branch) => canonical(branch, namespace))
  switch (schema.type) {
    case 'record': {
      const name = fullName(schema.name, schema.namespace ?? namespace)
      const inner = name.slice(0, Math.max(0, name.lastIndexOf('.')))
      const fields = schema.fields.map((field) => ({ name: field.name, type: canonical(field.type, inner) }))
      return { name, type: 'record', fields }
    }
    case 'enum':
      return { name: fullName(schema.name, schema.namespace ?? namespace), type: 'enum', symbols: schema.symbols }
    case 'array':
      return { type: 'array', items: canonical(schema.items, namespace) }
    default:
      return schema.type
  }
}

/** A name with a dot is full already, and primitive types live in no namespace. */
export const fullName = (name: string, namespace: string): string =>
  name.includes('.') || namespace === '' || PRIMITIVES.has(name) ? name : `${namespace}.${name}`
