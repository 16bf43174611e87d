import type { IHeaders, KafkaMessage } from 'kafkajs'
import type { Topic } from '../../core/events.ts'
import type { EncodedEvent } from '../../ports/event-codec.ts'

/** A message as it came from Kafka. */
export interface Received {
  topic: Topic
  /** `<topic>/<number>`. */
  partition: string
  offset: number
  message: KafkaMessage
}

export const encodedOf = ({ message: { value, headers } }: Received): EncodedEvent => ({
  value: value ?? new Uint8Array(),
  headers: textHeaders(headers ?? {}),
})

/** Headers as text; of one that is there several times, the last. */
export function textHeaders(headers: IHeaders): Record<string, string> {
  const texts: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const last = Array.isArray(value) ? value.at(-1) : value
    texts[name] = last === undefined ? '' : last.toString()
  }
  return texts
}
