import avsc, { type Type, type types } from 'avsc'
import type { AvroSchema } from '../../../schemas/index.ts'

/** avsc's own interface between types, which its typings leave out. */
interface Tap {
  buf: Buffer
  pos: number
  readLong(): number
  skipLong(): void
}
type Hook = ((value: unknown, type: Type) => void) | undefined
interface Internals {
  _check(value: unknown, flags: number, hook: Hook, path: string[]): boolean
  _read(tap: Tap): unknown
  _skip(tap: Tap): void
  _write(tap: Tap, value: unknown): void
}
type Base<T> = new (schema: AvroSchema, options: unknown) => T & Internals

const StringType = avsc.types.StringType as unknown as Base<types.StringType>
const IntType = avsc.types.IntType as unknown as Base<types.IntType>
const EnumType = avsc.types.EnumType as unknown as Base<types.EnumType>
const ArrayType = avsc.types.ArrayType as unknown as Base<{ itemsType: Internals }>
const RecordType = avsc.types.RecordType as unknown as Base<types.RecordType>

const LONE_SURROGATES = /\p{Surrogate}/gu

/** avsc writes half a surrogate pair as bytes that are not UTF-8, and other libraries refuse those. */
class StrictString extends StringType {
  override _write(tap: Tap, value: unknown): void {
    super._write(tap, typeof value === 'string' ? value.replace(LONE_SURROGATES, '\ufffd') : value)
  }
}

/** avsc reads 64 bits where a 32-bit integer is written. */
class StrictInt extends IntType {
  override _read(tap: Tap): number {
    const value = tap.readLong()
    if (value !== (value | 0)) throw new RangeError('an int has more than 32 bits')
    return value
  }
}

/** avsc looks symbols up in a plain object: it takes `constructor` and `['approved']` for symbols too. */
class StrictEnum extends EnumType {
  override _check(value: unknown, _flags: number, hook: Hook): boolean {
    const fits = this.symbols.includes(value as string)
    if (!fits) hook?.(value, this)
    return fits
  }

  override _write(tap: Tap, value: unknown): void {
    if (!this.symbols.includes(value as string)) throw new TypeError(`not a symbol of ${this.name}`)
    super._write(tap, value)
  }
}

/** avsc believes an array's count: five bytes could ask for billions of items. Each of ours takes a byte at least. */
class StrictArray extends ArrayType {
  override _read(tap: Tap): unknown[] {
    const items: unknown[] = []
    for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
      if (count < 0) {
        count = -count
        tap.skipLong()
      }
      if (!(count <= tap.buf.length - tap.pos)) throw new RangeError('an array is longer than the bytes')
      for (; count > 0; count--) items.push(this.itemsType._read(tap))
    }
    return items
  }

  override _skip(tap: Tap): void {
    this._read(tap)
  }
}

/** avsc makes an instance of a class of its own; ours are plain objects, like those that were encoded. */
class PlainRecord extends RecordType {
  constructor(schema: AvroSchema, options: unknown) {
    super(schema, options)
    this.recordConstructor.prototype = Object.prototype
  }
}

/** The avsc type of a schema, without avsc's leniency. Throws when the schema is not valid Avro. */
export function avroType(schema: AvroSchema): Type {
  return avsc.Type.forSchema(schema as Parameters<typeof avsc.Type.forSchema>[0], {
    omitRecordMethods: true,
    typeHook: (inner, options) => strictType(inner as AvroSchema, options),
  })
}

function strictType(schema: AvroSchema, options: unknown): Type | undefined {
  switch (typeof schema === 'string' || Array.isArray(schema) ? schema : schema.type) {
    case 'string':
      return new StrictString(schema, options)
    case 'int':
      return new StrictInt(schema, options)
    case 'enum':
      return new StrictEnum(schema, options)
    case 'array':
      return new StrictArray(schema, options) as unknown as Type
    case 'record':
      return new PlainRecord(schema, options)
    default:
      return undefined
  }
}
