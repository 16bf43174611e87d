import type { DomainEvent, Topic } from '../core/events.ts'

/** An event as bytes: the value, and CloudEvents headers (binary mode). */
export interface EncodedEvent {
  value: Uint8Array
  headers: Record<string, string>
}

/** Throws when the event does not fit its schema, or the bytes are not an event of this topic. */
export interface EventCodec {
  encode(event: DomainEvent, source: string): EncodedEvent
  decode(topic: Topic, encoded: EncodedEvent): DomainEvent & { source: string }
}
