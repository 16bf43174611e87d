import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'

/** Who is told of each connection's end: one listener there, however many calls wait in line on it. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Aborts when the caller's connection goes away before it got its answer. */
export function abortOnDisconnect({ raw, request }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  if (hasLeft(request.raw, raw)) controller.abort()
  else whenLeft(request.raw, raw, () => controller.abort())
  return controller.signal
}

export const hasLeft = ({ socket }: IncomingMessage, response: ServerResponse): boolean =>
  response.destroyed || response.closed || socket.destroyed

/**
 * Calls once when the caller's connection goes away before the answer is out. Node tells it of the response alone whose
 * turn it is (RFC 9112, 9.3.2); those behind it on the same connection learn it from the connection.
 */
export function whenLeft(
  { socket }: Pick<IncomingMessage, 'socket'>,
  response: ServerResponse,
  leave: () => void,
): void {
  const onClose = () => {
    response.off('close', onClose)
    stop()
    if (!response.writableFinished) leave()
  }
  const stop = whenClosed(socket, onClose)
  response.once('close', onClose)
}

/** Calls when a connection is closed, unless what this returns is called before: a connection outlives many calls. */
export function whenClosed(socket: Socket, onClose: () => void): () => void {
  const waitingHere = waitingFor(socket)
  waitingHere.add(onClose)
  return () => waitingHere.delete(onClose)
}

function waitingFor(socket: Socket): Set<() => void> {
  const known = waiting.get(socket)
  if (known) return known
  const created = new Set<() => void>()
  waiting.set(socket, created)
  socket.once('close', () => {
    for (const onClose of [...created]) onClose()
  })
  return created
}
