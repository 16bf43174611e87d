import { ASKING_TYPES, isAsking } from '../../../lib/core/delivery-ladder.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import { type ApprovalEscalated, Topic } from '../../../lib/core/events.ts'
import type { Notification } from '../../../lib/core/notification.ts'
import { RecentMap } from '../../../lib/core/recent-map.ts'
import { type Bus, type Delivery as Event, PoisonMessageError, type Subscription } from '../../../lib/ports/bus.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Delivery, DeliveryStore } from '../../../lib/ports/delivery-store.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Pace } from '../../../lib/runtime/pace.ts'
import type { RecordViews } from '../record-views.ts'
import type { AgentCallbacks } from './agent-callbacks.ts'
import type { Endpoints, KnownEndpoints } from './endpoints.ts'
import { newDelivery } from './new-delivery.ts'

/** So many are made, and written in one transaction, at a time. */
const MADE_AT_ONCE = 100
/** Approvals whose outcome was told from here. */
const REMEMBERED = 20_000
/** Names in escalation steps that the log was told of. */
const MAX_UNKNOWN_NAMES = 1_000

/**
 * Makes a delivery of every event for every endpoint that wants it. An event is done with when its deliveries are on
 * disk; one that comes twice makes them once, by their ids. What asks and comes after the outcome is on record, and goes
 * to nobody: topics have no order among each other.
 */
export function consumeEvents(deps: {
  bus: Bus
  views: RecordViews
  endpoints: Endpoints
  callbacks: AgentCallbacks | undefined
  store: DeliveryStore
  clock: Clock
  log: Logger
  pace: Pace
  onMade: () => void
}): Promise<Subscription> {
  const { bus, views, endpoints, callbacks, store, clock, log, pace, onMade } = deps
  /** Also of those whose outcome nobody wanted to hear, which the store does not know. */
  const told = new RecentMap<string, true>(REMEMBERED)
  const unknownNames = new RecentMap<string, true>(MAX_UNKNOWN_NAMES)
  const pause = (ms: number) => (ms > 0 ? new Promise<void>((resolve) => clock.after(ms, resolve)) : undefined)

  async function notificationOf(event: Event): Promise<Notification | undefined> {
    const { topic, eventId, at } = event
    const approval = topic === Topic.decide ? undefined : await views.after(event)
    if (topic === Topic.decide || !approval) return undefined
    if (topic !== Topic.escalated) return { id: eventId, type: topic, at, approval }
    const { step, channels } = event.data
    return { id: eventId, type: topic, at, approval, escalation: { step, channels } }
  }

  function warnOfUnknown({ tenant, id, channels }: ApprovalEscalated, { all }: KnownEndpoints): void {
    for (const channel of channels) {
      const key = JSON.stringify([tenant, channel])
      if (unknownNames.has(key) || all.some((each) => each.id === channel && each.tenant === tenant)) continue
      unknownNames.set(key, true)
      log.warn({ channel, tenant, approvalId: id }, 'an escalation step names a channel that its tenant does not have')
    }
  }

  /** Those of these events' approvals whose outcome was told before. */
  async function overBefore(events: readonly Event[]): Promise<Set<string>> {
    const asked = [...new Set(events.filter(({ topic }) => isAsking(topic)).map(({ data }) => data.id))]
    const over = asked.length === 0 ? new Set<string>() : await store.withOutcome(asked)
    for (const id of asked) if (told.has(id)) over.add(id)
    return over
  }

  async function deliveriesOf(event: Event, known: KnownEndpoints): Promise<Delivery[]> {
    const { eventId } = event
    try {
      if (event.topic === Topic.requested) callbacks?.requested(event)
      const notification = await notificationOf(event)
      if (!notification) return []
      const made = known.all
        .filter(({ isOpen, since }) => isOpen && notification.at >= since)
        .filter((endpoint) => endpoint.wants(notification))
        .map((endpoint) => deliveryOf(notification, endpoint.id, endpoint.bodyOf(notification), clock.now()))
      const callback = await callbacks?.of(notification)
      return callback ? [...made, deliveryOf(notification, callback.endpoint.id, callback.body, clock.now())] : made
    } catch (error) {
      if (!(error instanceof CountersignError)) throw new PoisonMessageError(eventId, error)
      if (error.code !== 'approval_not_found') throw error
      log.warn({ approvalId: event.data.id, eventId }, 'nobody is told of an event whose record is gone')
      return []
    }
  }

  async function handle(events: readonly Event[], known: KnownEndpoints): Promise<void> {
    const made: Delivery[] = []
    const over = await overBefore(events)
    // In turn: the record after one event stands on the event before.
    for (const event of events) {
      const { topic, data } = event
      if (topic === Topic.decided) over.add(data.id)
      const deliveries = await deliveriesOf(event, known)
      made.push(...(isAsking(topic) && over.has(data.id) ? deliveries.map(stopped) : deliveries))
    }
    if (made.length > 0) await store.insert(made)
    const ended = events.filter(({ topic }) => topic === Topic.decided)
    await Promise.all(
      ended.map(({ data }) => store.stop({ approvalId: data.id, types: ASKING_TYPES, at: clock.now() })),
    )
    for (const { data } of ended) told.set(data.id, true)
    if (made.length + ended.length > 0) onMade()
  }

  return bus.subscribe({
    group: 'notifier-deliveries',
    // The decider's group hears the same topics, and sets aside what nobody can read.
    unreadable: 'leaveOut',
    topics: [Topic.requested, Topic.decided, Topic.settled, Topic.expiring, Topic.escalated],
    handler: async (batch) => {
      const known = await endpoints.current()
      for (const { topic, data } of batch) if (topic === Topic.escalated) warnOfUnknown(data, known)
      if (known.all.length === 0 && !callbacks) return
      const atOnce = Math.max(1, Math.floor(MADE_AT_ONCE / Math.max(1, known.all.length)))
      for (let start = 0; start < batch.length; start += atOnce) {
        if (start > 0) await pause(pace.pauseMs())
        await handle(batch.slice(start, start + atOnce), known)
      }
    },
  })
}

function deliveryOf(notification: Notification, endpoint: string, body: string, now: number): Delivery {
  const { id: eventId, type, approval } = notification
  const { id: approvalId, tenant, version } = approval
  return newDelivery({ endpoint, tenant, approvalId, eventId, type, version, body }, now)
}

const stopped = (delivery: Delivery): Delivery => ({ ...delivery, status: 'stopped', endedAt: delivery.createdAt })
