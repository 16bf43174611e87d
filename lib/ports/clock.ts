/** Time as services see it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `ms`, however long that is; returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void
}
