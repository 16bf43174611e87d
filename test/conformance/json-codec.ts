import type { EventCodec } from '../../lib/ports/event-codec.ts'

/** Events as JSON: a codec for tests of buses, which do not care what the bytes say. */
export const jsonCodec: EventCodec = {
  encode: (event, source) => ({
    value: new TextEncoder().encode(JSON.stringify(event)),
    headers: { ce_id: event.eventId, ce_type: event.topic, ce_source: source },
  }),
  decode: (topic, { value, headers }) => {
    const event = JSON.parse(new TextDecoder().decode(value))
    if (event.topic !== topic) throw new TypeError(`this is no ${topic}`)
    return { ...event, source: headers.ce_source ?? '' }
  },
}
