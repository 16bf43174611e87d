import { Topic } from '../../../lib/core/events.ts'
import type { ApprovalView } from '../../../lib/core/view.ts'
import type { Bus, Delivery, Position, Subscription } from '../../../lib/ports/bus.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import { RecordViews } from '../record-views.ts'
import { advance, type Cursor, encodeCursor, hasSeen } from './cursor.ts'
import type { EventName } from './frames.ts'

const REMEMBERED_EVENTS = 10_000
const REWIND_EVENTS = 1_000

/** One thing that happened, as clients are told of it. */
export interface Happening {
  eventId: string
  event: EventName
  approval: ApprovalView
  position: Position
  /** The place in the stream after this. */
  cursor: Cursor
  encodedCursor: string
}

/**
 * Hears every event once and hands it to all listeners in order. Remembers the latest, so that a client that comes
 * back gets exactly what it missed.
 */
export class Hub {
  readonly #bus: Bus
  readonly #views: RecordViews
  readonly #log: Logger
  readonly #listeners = new Set<(happening: Happening) => void>()
  readonly #gapListeners = new Set<() => void>()
  #recent: Happening[] = []
  readonly #recentIds = new Set<string>()
  /** What was there before the oldest event that is remembered. */
  #floor = new Map<string, number>()
  #cursor: Cursor = new Map()
  #subscription: Subscription | undefined

  constructor(deps: { bus: Bus; decider: Decider; log: Logger }) {
    this.#bus = deps.bus
    this.#views = new RecordViews({ decider: deps.decider, votesRequired: false })
    this.#log = deps.log
  }

  async start(): Promise<void> {
    this.#subscription = await this.#bus.broadcast({
      topics: [Topic.requested, Topic.decided, Topic.settled, Topic.expiring, Topic.escalated],
      rewind: REWIND_EVENTS,
      handler: async (batch) => {
        for (const delivery of batch) await this.#hear(delivery)
      },
      onGap: () => {
        for (const listener of this.#gapListeners) listener()
      },
    })
  }

  async close(): Promise<void> {
    await this.#subscription?.close()
  }

  isReady(): boolean {
    return this.#subscription !== undefined && this.#bus.isReady()
  }

  get cursor(): Cursor {
    return this.#cursor
  }

  /** `onGap`: something may have been missed; read the record anew. Returns a function that stops listening. */
  listen(onHappening: (happening: Happening) => void, onGap: () => void): () => void {
    this.#listeners.add(onHappening)
    this.#gapListeners.add(onGap)
    return () => {
      this.#listeners.delete(onHappening)
      this.#gapListeners.delete(onGap)
    }
  }

  /** What happened after this cursor; undefined when that is longer ago than anybody remembers. */
  since(cursor: Cursor): Happening[] | undefined {
    for (const [partition, floor] of this.#floor) if ((cursor.get(partition) ?? floor) < floor) return undefined
    return this.#recent.filter(({ position }) => !hasSeen(cursor, position))
  }

  async #hear(delivery: Delivery): Promise<void> {
    const { position } = delivery
    if (hasSeen(this.#cursor, position)) return
    // An event may be published more than once; listeners hear of it once.
    const approval = this.#recentIds.has(delivery.eventId) ? undefined : await this.#viewAfter(delivery)
    if (!this.#floor.has(position.partition)) this.#floor.set(position.partition, position.offset - 1)
    this.#cursor = advance(this.#cursor, position)
    if (!approval) return
    const cursor = this.#cursor
    const event = EVENT_NAMES[delivery.topic]
    const { eventId } = delivery
    const happening = { eventId, event, approval, position, cursor, encodedCursor: encodeCursor(cursor) }
    this.#recent.push(happening)
    this.#recentIds.add(eventId)
    if (this.#recent.length > REMEMBERED_EVENTS) this.#forgetOldest()
    for (const listener of this.#listeners) listener(happening)
  }

  async #viewAfter(delivery: Delivery): Promise<ApprovalView | undefined> {
    try {
      return await this.#views.after(delivery)
    } catch (error) {
      this.#log.warn({ err: error, approvalId: delivery.data.id }, 'the record of an event could not be read')
      return undefined
    }
  }

  #forgetOldest(): void {
    const forgotten = this.#recent.slice(0, REMEMBERED_EVENTS / 10)
    this.#recent = this.#recent.slice(forgotten.length)
    for (const { eventId, position } of forgotten) {
      this.#recentIds.delete(eventId)
      this.#floor.set(position.partition, position.offset)
    }
  }
}

const EVENT_NAMES = {
  [Topic.requested]: 'requested',
  [Topic.decide]: 'decided',
  [Topic.decided]: 'decided',
  [Topic.settled]: 'settled',
  [Topic.expiring]: 'expiring',
  [Topic.escalated]: 'escalated',
} as const
