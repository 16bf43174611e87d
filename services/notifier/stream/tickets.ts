import type { Clock } from '../../../lib/ports/clock.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import { randomToken } from '../../../lib/runtime/keys.ts'

const TICKET_MS = 30_000

interface Ticket {
  authenticate: () => Promise<Principal | undefined>
  expiresAt: number
}

/** One-time tickets for browsers that can send neither a cookie nor a header when they open a WebSocket. */
export class Tickets {
  readonly #clock: Clock
  readonly #tickets = new Map<string, Ticket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A ticket for whoever `authenticate` tells. */
  issue(authenticate: Ticket['authenticate']): { ticket: string; expiresAt: number } {
    const now = this.#clock.now()
    for (const [text, { expiresAt }] of this.#tickets) if (expiresAt <= now) this.#tickets.delete(text)
    const ticket = randomToken()
    const expiresAt = now + TICKET_MS
    this.#tickets.set(ticket, { authenticate, expiresAt })
    return { ticket, expiresAt }
  }

  /** Uses a ticket up; undefined when it is unknown, used or too old. */
  take(text: string): Ticket['authenticate'] | undefined {
    const ticket = this.#tickets.get(text)
    this.#tickets.delete(text)
    return ticket && ticket.expiresAt > this.#clock.now() ? ticket.authenticate : undefined
  }
}
