/** What became of one call of an agent, as the agent and the upstream saw it. */
export interface CallRecord {
  number: number
  /** The id of its approval. */
  id: string
  /** What the approver is to say. */
  wanted: 'approve' | 'deny'
  answer: 'allowed' | 'denied' | null
  /** How often the upstream ran it. */
  executions: number
  /** How often the agent had to send it again. */
  retries: number
  /** The outcome is on record. */
  isReported: boolean
  startedAt: number
  answeredAt: number | null
  /** An answer that does not belong there. */
  fault: string | null
}

/** One in ten is denied; the approver reads it from the arguments. */
const DENY_EVERY = 10

export const wantedOf = (number: number): CallRecord['wanted'] => (number % DENY_EVERY === 0 ? 'deny' : 'approve')

export const argumentsOf = (number: number) => ({ charge: `ch_${number}`, amount: number, reason: 'soak' })

/** The number of the call whose arguments these are, as the approver is shown them. */
export const numberOf = (preview: string): number => (JSON.parse(preview) as { amount: number }).amount
