import type { IncomingMessage } from 'node:http'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Spool } from './spool.ts'

/** How much of a body is read before a call is judged, in bytes. */
export const PEEK_BYTES = 64 * 1024
/** How long it may take to come. What is not there by then is judged like what is too long. */
const PEEK_MS = 10_000

/** What is known of a body before the call is judged. */
export interface Peeked {
  /** How its end is told: by `content-length`, or chunk by chunk (RFC 9112, 6.3). */
  framing: 'none' | 'length' | 'chunked'
  bytes: Buffer
  /** True when `bytes` is all of it. */
  whole: boolean
}

const NO_BODY: Peeked = { framing: 'none', bytes: Buffer.alloc(0), whole: true }

/**
 * Reads the beginning of a body, and then stops: the connection waits, and so does its sender.
 * Fails with `invalid_request` for a coding that would be lost on the way, and when the caller leaves.
 */
export function peek(request: IncomingMessage, clock: Clock): Peeked | Promise<Peeked> {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked')
    throw new CountersignError('invalid_request', 'The only transfer coding that this gate forwards is chunked.')
  if (coding === undefined && (length === undefined || Number(length) === 0)) return NO_BODY
  const framing = coding === undefined ? 'length' : 'chunked'
  // A short body has mostly come with its head.
  const isHere = coding === undefined ? request.readableLength === Number(length) : request.complete
  if (isHere && request.readableLength <= PEEK_BYTES)
    return { framing, bytes: request.read() ?? Buffer.alloc(0), whole: true }
  return readAhead(request, framing, clock)
}

async function readAhead(request: IncomingMessage, framing: Peeked['framing'], clock: Clock): Promise<Peeked> {
  const chunks: Buffer[] = []
  const whole = await new Promise<boolean>((resolve, reject) => {
    let read = 0
    const onReadable = () => {
      for (let chunk: Buffer | null = request.read(); chunk !== null; chunk = request.read()) {
        chunks.push(chunk)
        read += chunk.length
        if (read > PEEK_BYTES) return done(false)
      }
    }
    const onEnd = () => done(true)
    const onClose = () => {
      stop()
      reject(new CountersignError('approval_cancelled', 'The caller left.'))
    }
    const cancel = clock.after(PEEK_MS, () => done(false))
    const stop = () => {
      cancel()
      request.off('readable', onReadable).off('end', onEnd).off('error', onClose).off('close', onClose)
    }
    function done(isWhole: boolean): void {
      stop()
      resolve(isWhole)
    }
    request.on('readable', onReadable).on('end', onEnd).on('error', onClose).on('close', onClose)
    if (request.destroyed) onClose()
  })
  const [first] = chunks
  return { framing, bytes: chunks.length === 1 && first ? first : Buffer.concat(chunks), whole }
}

/** The body as it goes on: what was read ahead, what was read while the call was held, and then the rest as it comes. */
export async function* bodyAfter(
  request: IncomingMessage,
  { bytes, whole }: Peeked,
  spool: Pick<Spool, 'read'> | undefined,
): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes
  if (whole) return
  if (spool) yield* spool.read()
  for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk
}
