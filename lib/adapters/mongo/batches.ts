/** What came of one operation of a batch. */
export type Answer<R> = { value: R } | { error: unknown }

/** Operations that share round trips and journal syncs. */
export interface Batches<O, R> {
  /** Sends the operation with those that wait beside it. */
  add(operation: O): Promise<R>
  /** Sends at once what waits; resolves when all that was added is answered. */
  flush(): Promise<void>
}

/** A batch must be done well within the time that its callers are given. */
const LARGEST_BATCH = 500

interface Waiting<O, R> {
  operation: O
  resolve(value: R): void
  reject(error: unknown): void
}

/**
 * Gathers what is added until `schedule` calls back, and sends it as one batch; while `inFlight` batches are under way,
 * what comes in gathers for the next. `send` answers in the order of its operations. When it rejects, those that wait
 * are rejected too: they would only find out the same, later.
 */
export function createBatches<O, R>(deps: {
  send: (operations: O[]) => Promise<Answer<R>[]>
  schedule: (flush: () => void) => void
  inFlight: number
}): Batches<O, R> {
  const { send, schedule, inFlight } = deps
  const underWay = new Set<Promise<void>>()
  const waiting: Waiting<O, R>[] = []
  let isScheduled = false

  function arm(): void {
    if (isScheduled || waiting.length === 0 || underWay.size >= inFlight) return
    isScheduled = true
    schedule(() => {
      isScheduled = false
      while (waiting.length > 0 && underWay.size < inFlight) start()
    })
  }

  function start(): void {
    const batch = waiting.splice(0, LARGEST_BATCH)
    const sent = run(batch).finally(() => {
      underWay.delete(sent)
      arm()
    })
    underWay.add(sent)
  }

  async function run(batch: Waiting<O, R>[]): Promise<void> {
    try {
      const answers = await send(batch.map(({ operation }) => operation))
      for (const [index, { resolve, reject }] of batch.entries()) {
        const answer = answers[index] ?? { error: new Error('an operation got no answer') }
        if ('error' in answer) reject(answer.error)
        else resolve(answer.value)
      }
    } catch (error) {
      for (const { reject } of [...batch, ...waiting.splice(0)]) reject(error)
    }
  }

  return {
    add: (operation) =>
      new Promise((resolve, reject) => {
        waiting.push({ operation, resolve, reject })
        arm()
      }),
    async flush() {
      while (waiting.length > 0 || underWay.size > 0) {
        if (waiting.length > 0 && underWay.size < inFlight) start()
        else await Promise.race(underWay)
      }
    },
  }
}
