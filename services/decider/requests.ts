import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalSettled } from '../../lib/core/events.ts'
import { Topic } from '../../lib/core/events.ts'
import { type Bus, type Delivery, PoisonMessageError, type Subscription } from '../../lib/ports/bus.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Records } from './records.ts'

/** Reads what gates publish for the decider: requests, and outcomes that a gate could report by the topic alone. */
export function consumeRequests(deps: { bus: Bus; records: Records; log: Logger }): Promise<Subscription> {
  const { bus, records, log } = deps

  async function settle({ id, tenant, use, outcome, status, detail, gate, version }: ApprovalSettled): Promise<void> {
    // A version says that the record knows it already: the decider itself published it.
    if (version !== null) return
    const by = { id: gate, name: gate, type: 'system', via: 'topic' } as const
    await records.command(tenant, id, { type: 'settle', use, outcome, status, detail, gate, by })
  }

  async function handle(delivery: Delivery): Promise<void> {
    try {
      if (delivery.topic === Topic.requested) await records.create(delivery.data)
      else if (delivery.topic === Topic.settled) await settle(delivery.data)
    } catch (error) {
      if (!(error instanceof CountersignError)) throw new PoisonMessageError(delivery.eventId, error)
      // The store is away: the whole batch comes again. Anything else is the record's answer, and final.
      if (error.code === 'decider_unavailable') throw error
      log.warn({ approvalId: delivery.data.id, eventId: delivery.eventId, code: error.code }, 'a report was refused')
    }
  }

  return bus.subscribe({
    group: 'decider',
    topics: [Topic.requested, Topic.settled],
    handler: async (batch) => {
      await Promise.all(batch.filter(({ topic }) => topic === Topic.requested).map(handle))
      await Promise.all(batch.filter(({ topic }) => topic !== Topic.requested).map(handle))
    },
  })
}
