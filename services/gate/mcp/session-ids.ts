import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Principal } from '../../../lib/ports/identity.ts'

/** Bytes of the mark: enough that nobody guesses one. */
const MARK_BYTES = 18
const MAX_LENGTH = 1_024

/**
 * Session ids as clients see them: the server's own, behind a mark that binds it to the agent and the server. Another
 * agent's id is as unknown as one that never was. Gates with the same key take each other's.
 */
export class SessionIds {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  seal(server: string, { tenant, id: agentId }: Principal, session: string): string {
    return `${this.#mark(server, tenant, agentId, session).toString('base64url')}.${session}`
  }

  /** The server's own id; undefined when this agent has no such session. */
  open(server: string, { tenant, id: agentId }: Principal, sealed: string): string | undefined {
    const dot = sealed.indexOf('.')
    if (dot < 0 || sealed.length > MAX_LENGTH) return undefined
    const session = sealed.slice(dot + 1)
    const given = Buffer.from(sealed.slice(0, dot), 'base64url')
    const mark = this.#mark(server, tenant, agentId, session)
    return given.length === mark.length && timingSafeEqual(given, mark) ? session : undefined
  }

  #mark(...parts: string[]): Buffer {
    return createHmac('sha256', this.#key).update(JSON.stringify(parts)).digest().subarray(0, MARK_BYTES)
  }
}
