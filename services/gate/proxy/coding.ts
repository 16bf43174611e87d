import * as zlib from 'node:zlib'

/** A body of 64 KiB that becomes more than this is none that anybody reads. */
const MAX_DECODED = 1024 * 1024
const MAX_CODINGS = 3

type Decode = (bytes: Buffer) => Buffer
type Sync = (
  bytes: Buffer,
  options: { maxOutputLength: number; info: true },
) => { buffer: Buffer; engine: { bytesWritten: number } }

/** What lies behind the end of the compressed data is read by some and left by others: it is refused. */
const whole =
  (decode: unknown): Decode =>
  (bytes) => {
    const { buffer, engine } = (decode as Sync)(bytes, { maxOutputLength: MAX_DECODED, info: true })
    if (engine.bytesWritten !== bytes.length) throw new Error('there is more after the end')
    return buffer
  }

/** Servers differ in what they call deflate: zlib (RFC 9110, 8.4.1.2), or bare (RFC 1951). */
const inflate: Decode = (bytes) => {
  const isZlib = bytes.length > 1 && ((bytes[0] ?? 0) & 15) === 8 && bytes.readUInt16BE(0) % 31 === 0
  return whole(isZlib ? zlib.inflateSync : zlib.inflateRawSync)(bytes)
}

/** Content codings that this Node can read (RFC 9110, 8.4.1; zstd from Node 22.15). */
const CODINGS = new Map<string, Decode>([
  ['gzip', whole(zlib.gunzipSync)],
  ['x-gzip', whole(zlib.gunzipSync)],
  ['deflate', inflate],
  ['br', whole(zlib.brotliDecompressSync)],
  ['identity', (bytes) => bytes],
  ...('zstdDecompressSync' in zlib ? [['zstd', whole(zlib.zstdDecompressSync)] as const] : []),
])

/** A whole body without its content codings; undefined when it cannot be read, or is too large when it is. */
export function decoded(bytes: Buffer, contentEncoding: readonly string[]): Buffer | undefined {
  const codings = contentEncoding.flatMap((value) => value.split(',')).map((coding) => coding.trim().toLowerCase())
  if (codings.length > MAX_CODINGS) return undefined
  try {
    return codings.reduceRight((data, coding) => {
      const decode = CODINGS.get(coding)
      if (!decode) throw new Error('nobody here knows this coding')
      return decode(data)
    }, bytes)
  } catch {
    return undefined
  }
}
