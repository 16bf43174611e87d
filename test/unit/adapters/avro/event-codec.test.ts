import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { avroCodec } from '../../../../lib/adapters/avro/event-codec.ts'
import { type EventOf, Topic } from '../../../../lib/core/events.ts'
import { events } from './arbitrary-events.ts'

const codec = avroCodec()

const settled: EventOf<'approval.settled'> = {
  topic: Topic.settled,
  eventId: 'apr_1:4',
  at: 1_732_180_000_123,
  data: {
    id: 'apr_1',
    tenant: 'default',
    use: 1,
    outcome: 'executed',
    status: 200,
    detail: null,
    gate: 'gate-1',
    settledAt: 1_732_180_000_120,
    version: 4,
    historyHash: null,
  },
}

describe('an event', () => {
  it('comes back exactly as it went in', () => {
    fc.assert(
      fc.property(events, fc.string({ minLength: 1 }), (event, source) => {
        expect(codec.decode(event.topic, codec.encode(event, source))).toStrictEqual({ ...event, source })
      }),
      { numRuns: 300 },
    )
  })

  it('comes back from bytes that lie within a larger array, as a database hands them out', () => {
    const { value, headers } = codec.encode(settled, 'gate')
    const around = new Uint8Array(value.length + 20)
    around.set(value, 7)
    const slice = around.subarray(7, 7 + value.length)
    expect(codec.decode(Topic.settled, { value: slice, headers }).data).toEqual(settled.data)
  })

  it('is not changed by the events that are encoded after it', () => {
    const first = codec.encode(settled, 'gate')
    codec.encode({ ...settled, data: { ...settled.data, detail: 'x'.repeat(1000) } }, 'gate')
    expect(codec.decode(Topic.settled, first).data).toEqual(settled.data)
  })

  it('larger than the buffer comes back too', () => {
    const large = { ...settled, data: { ...settled.data, detail: '🏔'.repeat(100_000) } }
    expect(codec.decode(Topic.settled, codec.encode(large, 'gate')).data).toEqual(large.data)
  })

  it('carries CloudEvents headers', () => {
    expect(codec.encode(settled, 'countersign/gate/gate-1').headers).toEqual({
      ce_specversion: '1.0',
      ce_id: 'apr_1:4',
      ce_type: 'approval.settled',
      ce_source: 'countersign/gate/gate-1',
      ce_time: '2024-11-21T09:06:40.123Z',
      ce_subject: 'apr_1',
      'content-type': 'application/avro',
    })
  })

  it('has a time that may come from another producer, with another offset', () => {
    const { value, headers } = codec.encode(settled, 'gate')
    const elsewhere = { ...headers, ce_time: '2024-11-21T10:06:40.123456+01:00' }
    expect(codec.decode(Topic.settled, { value, headers: elsewhere }).at).toBe(settled.at)
  })
})

describe('decoding refuses', () => {
  const { value, headers } = codec.encode(settled, 'gate')

  it.each(['ce_specversion', 'ce_type', 'ce_id', 'ce_source', 'ce_time'])('a message without %s', (name) => {
    const { [name]: _, ...rest } = headers
    expect(() => codec.decode(Topic.settled, { value, headers: rest })).toThrow(`the header ${name} is missing`)
  })

  it('another version of CloudEvents', () => {
    const other = { ...headers, ce_specversion: '2.0' }
    expect(() => codec.decode(Topic.settled, { value, headers: other })).toThrow('ce_specversion is not 1.0')
  })

  it.each(['yesterday', '2024', '2024-13-45T99:00:00Z'])('the time %s', (ce_time) => {
    expect(() => codec.decode(Topic.settled, { value, headers: { ...headers, ce_time } })).toThrow('ce_time')
  })

  it('an event of another topic, by its header or by its bytes', () => {
    expect(() => codec.decode(Topic.decided, { value, headers })).toThrow('ce_type is not approval.decided')
    const relabelled = { ...headers, ce_type: Topic.decided }
    expect(() => codec.decode(Topic.decided, { value, headers: relabelled })).toThrow('no schema with the fingerprint')
  })
})

describe('encoding refuses', () => {
  const broken = (data: object) => () =>
    codec.encode({ ...settled, data: { ...settled.data, ...data } } as typeof settled, 'gate')

  it.each([
    [
      'a word that is not in the set',
      { outcome: 'approved' },
      'outcome: one of executed, failed, not_executed, unknown',
    ],
    ['a word that every object knows', { outcome: 'constructor' }, 'outcome'],
    ['a word in an array', { outcome: ['executed'] }, 'outcome'],
    ['a missing field', { gate: undefined }, 'gate: string expected, got undefined'],
    ['a number where text belongs', { detail: 7 }, 'detail: null or string expected, got number'],
    ['a fraction', { status: 200.5 }, 'status'],
    ['a number past 32 bits', { version: 2 ** 31 }, 'version'],
    ['an instant past the safe integers', { settledAt: 2 ** 53 }, 'settledAt: safe integer expected'],
    ['an instant that is none', { settledAt: Number.NaN }, 'settledAt'],
  ])('%s, and names the field', (_, data, message) => {
    expect(broken(data)).toThrow(`countersign.v1.ApprovalSettled.${message}`)
  })

  it('a nested field, by its path, without quoting the value', () => {
    const decided = {
      topic: Topic.decided,
      eventId: 'e',
      at: 0,
      data: { ...settled.data, outcome: 'denied', decidedBy: [{ id: 'a', name: 'a', type: 'user', via: 'sk_live_1' }] },
    }
    const encode = () => codec.encode(decided as unknown as EventOf<'approval.decided'>, 'decider')
    expect(encode).toThrow('ApprovalDecided.decidedBy.0.via: one of http, ws,')
    expect(encode).not.toThrow('sk_live_1')
  })

  it.each([Number.NaN, -1, 1.5, 253_402_300_800_000])('the time %s', (at) => {
    expect(() => codec.encode({ ...settled, at }, 'gate')).toThrow('at: whole milliseconds')
  })
})
