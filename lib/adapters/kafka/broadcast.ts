import { randomUUID } from 'node:crypto'
import type { ConsumerHooks } from './supervised-consumer.ts'
import type { TopicNames } from './topics.ts'

/** What makes a consumer hear everything by itself. */
export interface Broadcast {
  hooks: ConsumerHooks
  /** Resolves when it fetches from its place, and all up to `ends` is handled. */
  caughtUp: Promise<void>
}

/**
 * Knows its place in every partition by itself, and seeks to it whenever Kafka hands the partitions out: nothing is
 * missed and nothing comes twice, however long it was away. Its group is a name for the occasion and commits nothing.
 */
export function createBroadcast(deps: {
  names: TopicNames
  /** Where to begin, by partition. */
  starts: ReadonlyMap<string, number>
  ends: ReadonlyMap<string, number>
  groupPrefix: string
  onGap: () => void
  /** The group is not needed any more. */
  dropGroup(groupId: string): Promise<void>
}): Broadcast {
  const { names, ends, groupPrefix, onGap, dropGroup } = deps
  const next = new Map(deps.starts)
  const behind = new Set(
    [...ends].filter(([partition, end]) => next.get(partition)! < end).map(([partition]) => partition),
  )
  let isFetching = false
  let settle = () => {}
  const caughtUp = new Promise<void>((resolve) => {
    settle = resolve
  })

  const settleWhenCaughtUp = () => {
    if (isFetching && behind.size === 0) settle()
  }

  return {
    caughtUp,
    hooks: {
      // A dead member holds its group up until its session ends: a new consumer takes a group of its own.
      groupId: () => `${groupPrefix}broadcast.${randomUUID()}`,
      joined(consumer) {
        for (const [partition, offset] of next) consumer.seek({ ...names.placeOf(partition), offset: String(offset) })
      },
      wanted(partition, { messages, highWatermark }) {
        const first = messages[0]
        const place = next.get(partition)
        if (!first || place === undefined) return messages
        // The partition ends before our place: it was made anew. Or it begins after it: Kafka kept it no longer.
        const isCut = Number(highWatermark) < place
        if (isCut || Number(first.offset) > place) onGap()
        return isCut ? messages : messages.filter(({ offset }) => Number(offset) >= place)
      },
      moved(partition, reached) {
        next.set(partition, reached)
        if (reached >= (ends.get(partition) ?? 0)) behind.delete(partition)
        settleWhenCaughtUp()
      },
      fetching(afterGap) {
        if (afterGap) onGap()
        isFetching = true
        settleWhenCaughtUp()
      },
      left: dropGroup,
    },
  }
}
