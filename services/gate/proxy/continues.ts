import type { Socket } from 'node:net'

/** More of them in front of one answer are for undici to refuse. */
const MAX_CONTINUES = 20
const MAX_HEAD_BYTES = 4 * 1024
const REQUEST_LINE = /^[^\r\n]* HTTP\/1\.1\r\n/
const CONTINUE = Buffer.from('HTTP/1.1 100')
/** Where the class of a status stands, and that of those which are not final. */
const CLASS_AT = 'HTTP/1.1 '.length
const INFORMATIONAL = '1'.charCodeAt(0)

/** True for what begins with an answer that no other follows; most do. */
const isFinal = (bytes: Buffer): boolean => (bytes[CLASS_AT] ?? 0) > INFORMATIONAL

/**
 * The same connection, without each `100 Continue` in front of an answer: servers send one unasked, and a client reads on
 * (RFC 9110, 15.2), but undici gives up the connection. A request's head that undici writes tells that an answer follows.
 */
export function withoutContinues(socket: Socket): Socket {
  const read = socket.read.bind(socket)
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  let left = 0
  let held: Buffer | undefined
  socket.write = (...args: unknown[]) => {
    if (typeof args[0] === 'string' && REQUEST_LINE.test(args[0])) left = MAX_CONTINUES
    return write(...args)
  }
  socket.read = (size?: number): Buffer | null => {
    const chunk: Buffer | null = read(size)
    if (chunk === null || left === 0) return chunk
    if (!held && isFinal(chunk)) {
      left = 0
      return chunk
    }
    let bytes = held ? Buffer.concat([held, chunk]) : chunk
    held = undefined
    while (left > 0 && bytes.length > 0) {
      const compared = Math.min(bytes.length, CONTINUE.length)
      const end = bytes.indexOf('\r\n\r\n')
      if (bytes.compare(CONTINUE, 0, compared, 0, compared) !== 0 || (end < 0 && bytes.length > MAX_HEAD_BYTES)) {
        // Another may follow an early hint, later.
        if (!/^HTTP\/1\.[01] 1\d\d/.test(bytes.toString('latin1', 0, CONTINUE.length))) left = 0
        return bytes
      }
      if (end < 0) {
        held = bytes
        return null
      }
      bytes = bytes.subarray(end + 4)
      left--
    }
    return bytes.length === 0 ? null : bytes
  }
  return socket
}
