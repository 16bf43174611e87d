import type { KafkaMessage } from 'kafkajs'
import type { Topic } from '../../core/events.ts'
import { reasonOf } from './kafka-error.ts'
import { type Received, textHeaders } from './message.ts'
import type { OutgoingRecord } from './publisher.ts'

/** A message that could not be handled, and why. */
export interface DeadLetter {
  topic: Topic
  /** Its place on `<topic>.dlq`. */
  partition: number
  offset: number
  /** When it was put there, in ms. */
  at: number
  /** Approval id, where it had a key. */
  key: string
  /** `ce_id`; empty where it had none. */
  eventId: string
  cause: string
  /** The group that could not handle it. */
  consumer: string
  /** How often it became a dead letter: one more each time it was sent back in vain. */
  attempts: number
}

const ATTEMPTS = 'dlq_attempts'
const HEADERS = { cause: 'dlq_cause', consumer: 'dlq_consumer', partition: 'dlq_partition', offset: 'dlq_offset' }
/** Of a note that follows the letters: the offsets, on its own partition, of those that were sent back. */
const SENT_BACK = 'dlq_sent_back'

/** The message as it came, with what happened to it in headers. */
export function deadLetterOf({ partition, offset, message }: Received, cause: unknown, consumer: string) {
  const { key, value, headers = {} } = message
  const said = {
    [HEADERS.cause]: reasonOf(cause),
    [HEADERS.consumer]: consumer,
    [HEADERS.partition]: partition,
    [HEADERS.offset]: String(offset),
    [ATTEMPTS]: String(attemptsIn(textHeaders(headers)) + 1),
  }
  return { key, value, headers: { ...headers, ...said } } satisfies Omit<OutgoingRecord, 'topic'>
}

export function letterOf(topic: Topic, partition: number, message: KafkaMessage): DeadLetter {
  const headers = textHeaders(message.headers ?? {})
  return {
    topic,
    partition,
    offset: Number(message.offset),
    at: Number(message.timestamp),
    key: message.key?.toString() ?? '',
    eventId: headers.ce_id ?? '',
    cause: headers[HEADERS.cause] ?? '',
    consumer: headers[HEADERS.consumer] ?? '',
    attempts: Math.max(1, attemptsIn(headers)),
  }
}

/** The message as it came; the count of attempts stays with it. */
export function originalOf({ key, value, headers = {} }: KafkaMessage): Omit<OutgoingRecord, 'topic'> {
  const ours = new Set(Object.values(HEADERS))
  return { key, value, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !ours.has(name))) }
}

export const noteOf = (offsets: readonly number[]): Omit<OutgoingRecord, 'topic' | 'partition'> => ({
  key: null,
  value: null,
  headers: { [SENT_BACK]: offsets.join(',') },
})

/** The offsets that a note names; undefined when the message is a letter, whatever headers that came with. */
export function notedIn({ value, headers = {} }: KafkaMessage): number[] | undefined {
  if (value !== null || headers[HEADERS.cause] !== undefined) return undefined
  const { [SENT_BACK]: text } = textHeaders(headers)
  return text?.split(',').map(Number)
}

const attemptsIn = ({ [ATTEMPTS]: text = '' }: Record<string, string>): number =>
  /^\d{1,6}$/.test(text) ? Number(text) : 0
