import { type Delivery, type Handler, PoisonMessageError } from '../../ports/bus.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import { encodedOf, type Received } from './message.ts'

/** What came from one partition. */
export interface Part {
  messages: readonly Received[]
  /** It failed before: it is handled by itself, so that no other partition waits for it. */
  alone: boolean
}

/** One handler, one call at a time; what comes from several partitions at once goes into one call. */
export interface Intake {
  /** True when handled; false when the handler rejected, or does not run any more. */
  deliver(part: Part): Promise<boolean>
  /** Resolves when the handler runs no more. */
  close(): Promise<void>
}

interface Waiting extends Part {
  settle(isHandled: boolean): void
}

interface Decoded {
  received: Received
  delivery: Delivery
}

/** The most messages that the parts of one call hold, unless a single part has more. */
const BATCH = 500

export function createIntake(deps: {
  handler: Handler
  codec: EventCodec
  /** Puts aside what can never be handled. */
  setAside(messages: readonly Received[], cause: unknown): Promise<void>
  /** For what cannot be read; left out, it is put aside too. */
  leaveOut?: ((messages: readonly Received[], cause: unknown) => Promise<void>) | undefined
  failed(error: unknown, messages: readonly Received[]): void
}): Intake {
  const { handler, codec, setAside, leaveOut = setAside, failed } = deps
  const waiting: Waiting[] = []
  let running: Promise<void> | undefined
  let closed = false

  function deliver(part: Part): Promise<boolean> {
    return new Promise((resolve) => {
      waiting.push({ ...part, settle: resolve })
      running ??= run()
    })
  }

  async function run(): Promise<void> {
    // The partitions of one fetch arrive one after the other, without a pause between them.
    await Promise.resolve()
    while (waiting.length > 0) {
      const parts = takeParts()
      const isHandled = !closed && (await isTaken(parts.flatMap(({ messages }) => messages)))
      for (const part of parts) part.settle(isHandled)
      // Who was settled brings what it has next.
      await Promise.resolve()
    }
    running = undefined
  }

  function takeParts(): Waiting[] {
    let count = 0
    const end = waiting.findIndex((part, index) => {
      count += part.messages.length
      return index > 0 && (count > BATCH || part.alone || waiting[index - 1]!.alone)
    })
    return waiting.splice(0, end < 0 ? waiting.length : end)
  }

  async function isTaken(messages: readonly Received[]): Promise<boolean> {
    try {
      let left = await decodeAll(messages)
      while (left.length > 0) left = await attempt(left)
      return true
    } catch (error) {
      failed(error, messages)
      return false
    }
  }

  async function decodeAll(messages: readonly Received[]): Promise<Decoded[]> {
    const decoded: Decoded[] = []
    for (const received of messages) {
      const { topic, partition, offset } = received
      const encoded = encodedOf(received)
      const preparing = codec.prepare?.(topic, encoded)
      if (preparing) await preparing
      try {
        decoded.push({ received, delivery: { ...codec.decode(topic, encoded), position: { partition, offset } } })
      } catch (error) {
        await leaveOut([received], error)
      }
    }
    return decoded
  }

  /** Resolves with what is left to handle: nothing, or all but what it set aside. */
  async function attempt(batch: readonly Decoded[]): Promise<Decoded[]> {
    try {
      await handler(batch.map(({ delivery }) => delivery))
      return []
    } catch (error) {
      if (!(error instanceof PoisonMessageError)) throw error
      const isPoison = ({ delivery }: Decoded) => delivery.eventId === error.eventId
      const poisoned = batch.filter(isPoison)
      if (poisoned.length === 0) throw error
      await setAside(
        poisoned.map(({ received }) => received),
        error.cause,
      )
      return batch.filter((each) => !isPoison(each))
    }
  }

  return {
    deliver,
    close: async () => {
      closed = true
      await running
    },
  }
}
