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
  /**
   * For a codec that asks elsewhere how bytes are to be read: resolves when `decode` has what it needs for these;
   * undefined when it has it already. Rejects while that cannot be had, which says nothing about the bytes.
   */
  prepare?(topic: Topic, encoded: EncodedEvent): Promise<void> | undefined
}
