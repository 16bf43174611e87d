import { isJsonObject, type Json } from '../../lib/core/canonical-json.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import { type ApprovalDecide, Topic } from '../../lib/core/events.ts'
import { isApprovalId } from '../../lib/core/ids.ts'
import { parseStrictJson } from '../../lib/core/strict-json.ts'
import type { Command } from '../../lib/core/transition.ts'
import { type Bus, type Delivery, PoisonMessageError, type Subscription } from '../../lib/ports/bus.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'
import { reasonOf } from '../../lib/runtime/reason.ts'
import { LONGEST_REASON } from '../../lib/runtime/schemas.ts'
import type { Records } from './records.ts'

const LONGEST_NAME = 200
const CONTROL_CHARACTERS = /\p{Cc}/u

/**
 * Carries out what other systems command on `approval.decide`, where the configuration allows it. Who may write there is
 * the broker's to say. A command that cannot be read, or whose approval does not come in time, goes to the dead letters;
 * what the record refuses changes nothing. Each is logged and counted.
 */
export function consumeCommands(deps: {
  bus: Bus
  records: Records
  log: Logger
  metrics: Metrics
  decideTopic: 'refused' | 'allowed'
}): Promise<Subscription> {
  const { bus, records, log, metrics, decideTopic } = deps
  const count = (result: string) => metrics.commands.inc({ result })

  async function carryOut(data: ApprovalDecide, eventId: string): Promise<void> {
    let command: Command
    try {
      command = commandOf(data)
    } catch (error) {
      count('malformed')
      throw new PoisonMessageError(eventId, error)
    }
    const { id, tenant, commandId, decision, actor } = data
    const about = { approvalId: id, commandId, decision, actor: actor.name }
    if (decideTopic === 'refused') {
      count('not_allowed')
      log.warn(about, 'a command from the topic was refused: topics.decide is not allowed')
      return
    }
    try {
      const { status } = await records.command(tenant, id, command)
      count('accepted')
      log.info({ ...about, status }, 'a command from the topic was carried out')
    } catch (error) {
      if (!(error instanceof CountersignError)) throw new PoisonMessageError(eventId, error)
      // The store is away: the batch comes again. Anything else is the record's answer, and final.
      if (error.code === 'decider_unavailable') throw error
      count(error.code)
      if (error.code === 'approval_not_found') throw new PoisonMessageError(eventId, error)
      log.warn({ ...about, code: error.code }, 'a command from the topic was refused')
    }
  }

  const handle = async (delivery: Delivery): Promise<void> => {
    if (delivery.topic === Topic.decide) await carryOut(delivery.data, delivery.eventId)
  }

  return bus.subscribe({
    // Apart from the requests: a command may be here before its request, and must not keep that from being read.
    group: 'decider.commands',
    topics: [Topic.decide],
    handler: async (batch) => {
      await Promise.all(batch.map(handle))
    },
  })
}

/** The command that a message gives; throws with what is wrong with it. The type and channel of its actor are ours to say. */
function commandOf({ commandId, id, decision, actor, reason, edits }: ApprovalDecide): Command {
  expectName('commandId', commandId)
  if (!isApprovalId(id)) throw new TypeError('id is no approval id')
  expectName('actor.id', actor.id)
  expectName('actor.name', actor.name)
  if (reason !== null && reason.length > LONGEST_REASON)
    throw new TypeError(`reason has more than ${LONGEST_REASON} characters`)
  const by = { id: actor.id, name: actor.name, type: 'system', via: 'topic' } as const
  if (decision !== 'cancel')
    return { type: 'decide', decision, by: { ...by, groups: [] }, reason: reasonOf(reason), edits: patchOf(edits) }
  if (edits !== null) throw new TypeError('edits go with an approval only')
  return { type: 'cancel', by, reason: reasonOf(reason) }
}

function expectName(field: string, text: string): void {
  if (text.trim() === '' || text.length > LONGEST_NAME || CONTROL_CHARACTERS.test(text))
    throw new TypeError(`${field} must have 1 to ${LONGEST_NAME} characters, none of them a control character`)
}

/** A merge patch (RFC 7396) on arguments, which are an object. */
function patchOf(edits: string | null): string | null {
  if (edits === null) return null
  const problem = new TypeError('edits must be a JSON object, as text')
  let patch: Json
  try {
    patch = parseStrictJson(edits)
  } catch {
    throw problem
  }
  if (!isJsonObject(patch)) throw problem
  return JSON.stringify(patch)
}
