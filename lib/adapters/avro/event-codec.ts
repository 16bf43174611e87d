import { type PublishedSchemas, published, type RecordSchema, schemas } from '../../../schemas/index.ts'
import { type DomainEvent, TOPICS, type Topic } from '../../core/events.ts'
import type { EventCodec } from '../../ports/event-codec.ts'
import { singleObject } from './single-object.ts'

/** What a codec writes, and every version of it that may still come to be read. */
export interface Contract {
  schemas: Readonly<Record<Topic, RecordSchema>>
  published: Readonly<Record<string, PublishedSchemas>>
}

const CONTENT_TYPE = 'application/avro'
/** The last millisecond of the year 9999: RFC 3339 has four digits for the year. */
const LAST_INSTANT = 253_402_300_799_999
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/** Events in Avro single-object encoding, with CloudEvents 1.0 headers as its Kafka binding names them (binary mode). */
export function avroCodec(contract: Contract = { schemas, published }): EventCodec {
  const versions = Object.values(contract.published)
  const objectOf = (topic: Topic) =>
    singleObject(
      contract.schemas[topic],
      versions.flatMap((version) => version[topic] ?? []),
    )
  const objects = Object.fromEntries(TOPICS.map((topic) => [topic, objectOf(topic)])) as Record<
    Topic,
    ReturnType<typeof objectOf>
  >

  return {
    encode({ topic, eventId, at, data }, source) {
      const headers = {
        ce_specversion: '1.0',
        ce_id: eventId,
        ce_type: topic,
        ce_source: source,
        ce_time: instant(at),
        ce_subject: data.id,
        'content-type': CONTENT_TYPE,
      }
      return { value: objects[topic].encode(data), headers }
    },

    decode(topic, { value, headers }) {
      const header = (name: string): string => {
        const text = headers[name]
        if (!text) throw new Error(`the header ${name} is missing`)
        return text
      }
      expectHeader('ce_specversion', header('ce_specversion'), '1.0')
      expectHeader('ce_type', header('ce_type'), topic)
      const eventId = header('ce_id')
      const source = header('ce_source')
      const at = RFC_3339.test(header('ce_time')) ? Date.parse(header('ce_time')) : Number.NaN
      if (Number.isNaN(at)) throw new Error('the header ce_time is not an RFC 3339 instant')
      return { topic, eventId, at, data: objects[topic].decode(value), source } as DomainEvent & { source: string }
    },
  }
}

function instant(at: number): string {
  if (!Number.isInteger(at) || at < 0 || at > LAST_INSTANT)
    throw new TypeError('at: whole milliseconds since 1970 expected, before the year 10000')
  return new Date(at).toISOString()
}

function expectHeader(name: string, found: string, expected: string): void {
  if (found !== expected) throw new Error(`the header ${name} is not ${expected}`)
}
