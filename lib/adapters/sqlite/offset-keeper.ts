import type { Topic } from '../../core/events.ts'
import type { Clock } from '../../ports/clock.ts'
import type { EventLog } from './event-log.ts'
import type { GroupCommit } from './group-commit.ts'

/** Remembers how far each group has come, off the hot path: what a crash forgets comes again. */
export interface OffsetKeeper {
  /** Makes the group known and returns what it has handled of each topic. Must run inside a transaction. */
  begin(group: string, topics: readonly Topic[]): Map<string, number>
  moved(group: string, topics: readonly Topic[], seq: number): void
  /** Resolves when everything so far is on disk. */
  save(): Promise<void>
}

const SAVE_EVERY_MS = 100

export function createOffsetKeeper(deps: {
  log: EventLog
  groupCommit: GroupCommit
  clock: Clock
  failed(error: unknown): void
}): OffsetKeeper {
  const { log, groupCommit, clock, failed } = deps
  let unsaved = new Map<string, { group: string; topic: Topic; seq: number }>()
  let cancelTimer: (() => void) | undefined

  function moved(group: string, topics: readonly Topic[], seq: number): void {
    for (const topic of topics) unsaved.set(`${group} ${topic}`, { group, topic, seq })
    cancelTimer ??= clock.after(SAVE_EVERY_MS, () => void save().catch(failed))
  }

  async function save(): Promise<void> {
    cancelTimer?.()
    cancelTimer = undefined
    const saving = unsaved
    if (saving.size === 0) return
    unsaved = new Map()
    try {
      await groupCommit.run(() => {
        for (const { group, topic, seq } of saving.values()) log.saveOffset(group, topic, seq)
      })
    } catch (error) {
      unsaved = new Map([...saving, ...unsaved])
      throw error
    }
  }

  return {
    begin: (group, topics) => {
      const oldest = log.tail()
      const handled = new Map(topics.map((topic) => [topic, log.offsetOf(group, topic) ?? oldest]))
      for (const [topic, seq] of handled) log.saveOffset(group, topic, seq)
      return handled
    },
    moved,
    save,
  }
}
