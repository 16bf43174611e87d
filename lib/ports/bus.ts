import type { DomainEvent, Topic } from '../core/events.ts'

/** An event as a consumer gets it: at least once, in order per approval id within a topic. */
export type Delivery = DomainEvent & {
  /** Which service produced it (`ce_source`). */
  source: string
  position: Position
}

/** Where an event stands in the log. Offsets grow within a partition; partitions are independent. */
export interface Position {
  partition: string
  offset: number
}

export interface Subscription {
  /** Stops delivery; resolves when no handler runs any more and what was handled is committed. */
  close(): Promise<void>
}

/**
 * Handles a batch. When it rejects, the same batch comes again after a pause, for as long as it takes: a store that is
 * away loses nothing. What can never be handled must be thrown as PoisonMessageError.
 */
export type Handler = (batch: readonly Delivery[]) => Promise<void> | void

/** Thrown by a handler for one event that can never be handled: it goes to `<topic>.dlq`, and the rest goes on. */
export class PoisonMessageError extends Error {
  readonly eventId: string
  constructor(eventId: string, cause: unknown) {
    super(`event ${eventId} cannot be handled: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.name = 'PoisonMessageError'
    this.eventId = eventId
  }
}

/** A durable log of events. */
export interface Bus {
  /** Resolves when every event is on disk (or acknowledged by all replicas); rejects with `bus_unavailable`. */
  publish(events: readonly DomainEvent[]): Promise<void>

  /**
   * Shared work: each event goes to one member of the group, at least once, and the group goes on where it stopped.
   * A new group begins at the oldest event. What cannot be read goes to the dead letters, or is left out by a group
   * that says so: where several groups hear a topic, one sets aside for all.
   */
  subscribe(options: {
    group: string
    topics: readonly Topic[]
    handler: Handler
    /** Default `setAside`. */
    unreadable?: 'setAside' | 'leaveOut'
  }): Promise<Subscription>

  /**
   * Everybody gets everything from now on. Resolves when positioned: an event published after that is delivered.
   * `rewind` begins that many events earlier; those are handled when it resolves. Nothing is remembered after close.
   * `onGap` is called when delivery was interrupted and something may have been missed: read the record then.
   */
  broadcast(options: {
    topics: readonly Topic[]
    handler: Handler
    rewind?: number
    onGap?: () => void
  }): Promise<Subscription>

  /** True while events can be published and are being delivered. */
  isReady(): boolean
  close(): Promise<void>
}
