import type { Database } from './database.ts'

/**
 * Shared transactions: everything that is queued in one turn of the event loop is committed, and synced to disk, once.
 */
export interface GroupCommit {
  /**
   * Runs `operation` in the next shared transaction, after those queued before it; resolves with its result once that
   * is on disk. When it throws, it alone is undone and its promise rejects. An operation is synchronous, does nothing
   * but SQL, and may run twice. Rejects with SQLite's error when the transaction fails.
   */
  run<T>(operation: () => T): Promise<T>
  /** Resolves when all that was queued before is committed or rejected. */
  settled(): Promise<void>
}

interface Queued {
  /** Runs the operation and returns what to do when it is on disk. */
  execute(): () => void
  reject(error: unknown): void
}

export function createGroupCommit(db: Database): GroupCommit {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  const savepoint = db.prepare('SAVEPOINT operation')
  const release = db.prepare('RELEASE operation')
  const rollbackToSavepoint = db.prepare('ROLLBACK TO operation')
  let queue: Queued[] = []

  function flush(): void {
    const batch = queue
    queue = []
    let settlements: (() => void)[]
    try {
      settlements = inTransaction(() => executeAll(batch))
    } catch (error) {
      for (const { reject } of batch) reject(error)
      return
    }
    for (const settle of settlements) settle()
  }

  function inTransaction<T>(work: () => T): T {
    begin.run()
    try {
      const result = work()
      commit.run()
      return result
    } catch (error) {
      if (db.isTransaction) rollback.run()
      throw error
    }
  }

  /** Savepoints cost more than most operations, so they are paid only when one has thrown. */
  function executeAll(batch: readonly Queued[]): (() => void)[] {
    try {
      return batch.map((queued) => queued.execute())
    } catch (error) {
      refuseIfLost(error)
      rollback.run()
      begin.run()
      return batch.map(executeApart)
    }
  }

  function executeApart(queued: Queued): () => void {
    savepoint.run()
    try {
      const settle = queued.execute()
      release.run()
      return settle
    } catch (error) {
      refuseIfLost(error)
      rollbackToSavepoint.run()
      release.run()
      return () => queued.reject(error)
    }
  }

  /** A full or failing disk ends the whole transaction, and with it the work of the others. */
  function refuseIfLost(error: unknown): void {
    if (!db.isTransaction) throw error
  }

  return {
    run: <T>(operation: () => T) =>
      new Promise<T>((resolve, reject) => {
        const execute = () => {
          const result = operation()
          return () => resolve(result)
        }
        queue.push({ execute, reject })
        if (queue.length === 1) setImmediate(flush)
      }),
    // Immediates run in their order: behind the flush of what is queued now.
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  }
}
