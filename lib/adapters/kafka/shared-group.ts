import type { Consumer } from 'kafkajs'
import type { Clock } from '../../ports/clock.ts'
import type { ConsumerHooks } from './supervised-consumer.ts'
import type { TopicNames } from './topics.ts'

/** What makes a consumer a member of a group that shares work. */
export interface SharedGroup {
  hooks: ConsumerHooks
  /** Resolves when it has its partitions for the first time. */
  joined: Promise<void>
}

/** How much of what was handled may come again after a crash. */
const COMMIT_EVERY_MS = 500

/** Commits what was handled from time to time, beside the deliveries: what a crash forgets comes again. */
export function createSharedGroup(deps: {
  groupId: string
  names: TopicNames
  clock: Clock
  failed(error: unknown): void
}): SharedGroup {
  const { groupId, names, clock, failed } = deps
  let member: { consumer: Consumer; generation: number } | undefined
  let handled = new Map<string, number>()
  let committing = Promise.resolve()
  let cancelTimer: (() => void) | undefined
  let hasJoined = () => {}
  const joined = new Promise<void>((resolve) => {
    hasJoined = resolve
  })

  function commit(): Promise<void> {
    cancelTimer?.()
    cancelTimer = undefined
    // One after the other: an offset never goes back.
    committing = committing.then(commitHandled)
    return committing
  }

  async function commitHandled(): Promise<void> {
    const by = member
    const offsets = handled
    if (!by || offsets.size === 0) return
    handled = new Map()
    try {
      const places = [...offsets].map(([partition, next]) => ({ ...names.placeOf(partition), offset: String(next) }))
      await by.consumer.commitOffsets(places)
    } catch (error) {
      failed(error)
      if (by === member) handled = new Map([...offsets, ...handled])
    }
  }

  return {
    joined,
    hooks: {
      groupId: () => groupId,
      joined(consumer, generation) {
        member = { consumer, generation }
        // What this member had may be another's now.
        handled = new Map()
        hasJoined()
      },
      moved(partition, next, generation) {
        if (generation !== member?.generation) return
        handled.set(partition, next)
        cancelTimer ??= clock.after(COMMIT_EVERY_MS, () => void commit())
      },
      leaving: commit,
    },
  }
}
