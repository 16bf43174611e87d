import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { PREFIX } from './destination.ts'
import type { Upgrading } from './tunnel.ts'

/** A caller that sends more than this before it is answered is not read any further. */
const MAX_EARLY_BYTES = 64 * 1024

/**
 * The WebSockets that come for the proxy, by their request. Where another part of the process takes upgrades to the routes
 * already, as the stream does, this only keeps what Node says of them; where none does, it takes them there itself.
 */
export class Upgrades {
  readonly #known = new WeakMap<IncomingMessage, { socket: Socket; head: Buffer }>()

  constructor(app: FastifyInstance) {
    app.takeUpgrades(PREFIX)
    app.server.prependListener('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      if (request.url?.startsWith(PREFIX)) this.#known.set(request, { socket, head })
      if (app.server.listenerCount('upgrade') > 1) return
      socket.on('error', () => socket.destroy())
      const response = new ServerResponse(request)
      response.assignSocket(socket)
      app.routing(request, response)
    })
  }

  /**
   * The upgrade that this request is, or undefined. From now on its connection is read, so that its end is noticed;
   * what comes before the answer is kept.
   */
  take(request: IncomingMessage, response: ServerResponse): Upgrading | undefined {
    const known = this.#known.get(request)
    if (!known) return undefined
    const { socket, head } = known
    const chunks = [head]
    let read = head.length
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      read += chunk.length
      if (read > MAX_EARLY_BYTES) socket.pause()
    }
    const onEnd = () => socket.destroy()
    socket.on('data', onData).on('end', onEnd)
    return {
      socket,
      response,
      early: () => {
        socket.off('data', onData).off('end', onEnd)
        return Buffer.concat(chunks)
      },
    }
  }
}
