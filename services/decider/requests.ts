import { CountersignError } from '../../lib/core/errors.ts'
import type { ApprovalDecide, ApprovalSettled } from '../../lib/core/events.ts'
import { Topic } from '../../lib/core/events.ts'
import { type Bus, type Delivery, PoisonMessageError, type Subscription } from '../../lib/ports/bus.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import { reasonOf } from '../../lib/runtime/reason.ts'
import type { Records } from './records.ts'

/**
 * Reads what others publish for the decider: requests from gates, outcomes that a gate could report by the topic
 * alone, and decisions from other systems where the configuration allows them.
 */
export function consumeRequests(deps: {
  bus: Bus
  records: Records
  log: Logger
  decideTopic: 'refused' | 'allowed'
}): Promise<Subscription> {
  const { bus, records, log, decideTopic } = deps

  async function decide({ id, tenant, decision, actor, reason, edits, commandId }: ApprovalDecide): Promise<void> {
    if (decideTopic === 'refused') {
      log.warn({ approvalId: id, commandId }, 'a decision from the topic was refused: topics.decide is not allowed')
      return
    }
    const by = { id: actor.id, name: actor.name, type: 'system', via: 'topic' } as const
    await records.command(
      tenant,
      id,
      decision === 'cancel'
        ? { type: 'cancel', by, reason: reasonOf(reason) }
        : { type: 'decide', decision, by: { ...by, groups: [] }, reason: reasonOf(reason), edits },
    )
  }

  async function settle({ id, tenant, use, outcome, status, detail, gate, version }: ApprovalSettled): Promise<void> {
    // A version says that the record knows it already: the decider itself published it.
    if (version !== null) return
    const by = { id: gate, name: gate, type: 'system', via: 'http' } as const
    await records.command(tenant, id, { type: 'settle', use, outcome, status, detail, gate, by })
  }

  async function handle(delivery: Delivery): Promise<void> {
    try {
      if (delivery.topic === Topic.requested) await records.create(delivery.data)
      else if (delivery.topic === Topic.decide) await decide(delivery.data)
      else if (delivery.topic === Topic.settled) await settle(delivery.data)
    } catch (error) {
      if (!(error instanceof CountersignError)) throw new PoisonMessageError(delivery.eventId, error)
      // The store is away: the whole batch comes again. Anything else is the record's answer, and final.
      if (error.code === 'decider_unavailable') throw error
      log.warn({ approvalId: delivery.data.id, eventId: delivery.eventId, code: error.code }, 'a command was refused')
    }
  }

  return bus.subscribe({
    group: 'decider',
    topics: [Topic.requested, Topic.decide, Topic.settled],
    handler: async (batch) => {
      await Promise.all(batch.filter(({ topic }) => topic === Topic.requested).map(handle))
      await Promise.all(batch.filter(({ topic }) => topic !== Topic.requested).map(handle))
    },
  })
}
