import { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyInstance {
    /** Lets calls below a path become WebSockets; one that ends with no slash stands for itself. */
    takeUpgrades(path: string): void
  }
}

/**
 * Which requests leave HTTP. Node hands a request with `Upgrade` out as it is, its body unread and its connection without a
 * parser, as soon as anybody listens for upgrades; whoever does not answer it holds the connection for ever. A server may
 * ignore `Upgrade` (RFC 9110, 7.8), and clients there are that offer `h2c` with every call: all but WebSockets (RFC 6455,
 * 4.1), and those but where somebody takes them, are plain HTTP/1.1 here. (Node 20 drops a request that comes in one piece
 * with the one that offered an upgrade: clients that offer one wait for its answer.)
 */
export class UpgradePaths {
  readonly #paths: string[] = []

  add(path: string): void {
    this.#paths.push(path)
  }

  /** The class of the server's requests. */
  get message(): typeof IncomingMessage {
    const takes = (message: IncomingMessage) => this.#takes(message)
    return class extends IncomingMessage {
      // Set by Node before it knows the headers, and asked for when it does.
      declare isOffered: boolean | null
      get upgrade(): boolean {
        return this.isOffered === true && (this.method === 'CONNECT' || takes(this))
      }
      set upgrade(isOffered: boolean | null) {
        this.isOffered = isOffered
      }
    }
  }

  #takes({ method, url = '', headers, httpVersionMajor, httpVersionMinor }: IncomingMessage): boolean {
    return (
      method === 'GET' &&
      headers.upgrade?.trim().toLowerCase() === 'websocket' &&
      headers['transfer-encoding'] === undefined &&
      Number(headers['content-length'] ?? 0) === 0 &&
      httpVersionMajor === 1 &&
      httpVersionMinor > 0 &&
      this.#paths.some((path) => (path.endsWith('/') ? url.startsWith(path) : url.split('?')[0] === path))
    )
  }
}

/** No parser reads on behind an upgrade: a plain answer to one is the last thing on its connection. */
export function endAfterAnswer({ raw }: FastifyRequest, reply: FastifyReply): void {
  if (!isUpgrade(raw) || !reply.raw.shouldKeepAlive) return
  reply.raw.shouldKeepAlive = false
  reply.raw.once('finish', () => raw.socket.destroySoon())
}

const isUpgrade = (raw: IncomingMessage): boolean => 'upgrade' in raw && raw.upgrade === true
