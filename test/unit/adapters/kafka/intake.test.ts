import { describe, expect, it, vi } from 'vitest'
import { createIntake, type Part } from '../../../../lib/adapters/kafka/intake.ts'
import type { Received } from '../../../../lib/adapters/kafka/message.ts'
import { type Delivery, type Handler, PoisonMessageError } from '../../../../lib/ports/bus.ts'
import type { EventCodec } from '../../../../lib/ports/event-codec.ts'
import { deferred } from '../../../conformance/inbox.ts'
import { jsonCodec } from '../../../conformance/json-codec.ts'
import { requestedEvent } from '../../../support/approvals.ts'

function message(partition: number, offset: number): Received {
  const event = { ...requestedEvent(), eventId: `${partition}@${offset}` }
  const { value, headers } = jsonCodec.encode(event, 'test')
  const kafkaMessage = { key: null, value: Buffer.from(value), headers, timestamp: '0', attributes: 0 }
  return {
    topic: event.topic,
    partition: `${event.topic}/${partition}`,
    offset,
    message: { ...kafkaMessage, offset: String(offset) },
  }
}

const part = (partition: number, offsets: number[], alone = false): Part => ({
  messages: offsets.map((offset) => message(partition, offset)),
  alone,
})

function open(handler: Handler, codec: EventCodec = jsonCodec) {
  const calls: string[][] = []
  const setAside = vi.fn(async () => {})
  const failed = vi.fn()
  const record = (batch: readonly Delivery[]) => {
    calls.push(batch.map(({ eventId }) => eventId))
    return handler(batch)
  }
  return { calls, setAside, failed, intake: createIntake({ handler: record, codec, setAside, failed }) }
}

describe('an intake', () => {
  it('hands over in one call what partitions bring at once', async () => {
    const { intake, calls } = open(() => {})
    const delivered = [part(0, [5, 6]), part(1, [9]), part(2, [1])].map(intake.deliver)
    expect(await Promise.all(delivered)).toEqual([true, true, true])
    expect(calls).toEqual([['0@5', '0@6', '1@9', '2@1']])
  })

  it('keeps what comes during a call for the next one', async () => {
    const gate = deferred()
    const { intake, calls } = open(() => gate.promise)
    const first = intake.deliver(part(0, [1]))
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    const others = [part(1, [1]), part(2, [1])].map(intake.deliver)
    await Promise.resolve()
    expect(calls).toHaveLength(1)
    gate.resolve()
    expect(await Promise.all([first, ...others])).toEqual([true, true, true])
    expect(calls).toEqual([['0@1'], ['1@1', '2@1']])
  })

  it('does not make a call much larger than a batch', async () => {
    const { intake, calls } = open(() => {})
    const offsets = Array.from({ length: 300 }, (_, offset) => offset)
    await Promise.all([part(0, offsets), part(1, offsets)].map(intake.deliver))
    expect(calls.map(({ length }) => length)).toEqual([300, 300])
  })

  it('handles what failed before by itself, so that the others do not fail with it', async () => {
    const { intake, calls, failed } = open((batch) => {
      if (batch.some(({ eventId }) => eventId === '1@1')) throw new Error('the store is away')
    })
    expect(await Promise.all([part(0, [1]), part(1, [1], true), part(2, [1])].map(intake.deliver))).toEqual([
      true,
      false,
      true,
    ])
    expect(calls).toEqual([['0@1'], ['1@1'], ['2@1']])
    expect(failed).toHaveBeenCalledOnce()
  })

  it('sets poison aside and hands the rest over again', async () => {
    const { intake, calls, setAside } = open((batch) => {
      const poison = batch.find(({ eventId }) => eventId === '0@2' || eventId === '1@1')
      if (poison) throw new PoisonMessageError(poison.eventId, new Error('no such tenant'))
    })
    expect(await Promise.all([part(0, [1, 2, 3]), part(1, [1])].map(intake.deliver))).toEqual([true, true])
    expect(calls).toEqual([
      ['0@1', '0@2', '0@3', '1@1'],
      ['0@1', '0@3', '1@1'],
      ['0@1', '0@3'],
    ])
    expect(setAside).toHaveBeenCalledTimes(2)
  })

  it('does not take poison for handled that could not be set aside', async () => {
    const { intake, setAside, failed } = open((batch) => {
      throw new PoisonMessageError(batch[0]!.eventId, new Error('no such tenant'))
    })
    setAside.mockRejectedValueOnce(new Error('the bus is away'))
    expect(await intake.deliver(part(0, [1]))).toBe(false)
    expect(failed).toHaveBeenCalledOnce()
    expect(await intake.deliver(part(0, [1]))).toBe(true)
  })

  it('sets aside what cannot be decoded, and waits for what the codec waits for', async () => {
    let isAway = true
    const codec: EventCodec = {
      ...jsonCodec,
      prepare: () => (isAway ? Promise.reject(new Error('the registry is away')) : undefined),
    }
    const { intake, calls, setAside } = open(() => {}, codec)
    const garbage = message(0, 1)
    garbage.message.value = Buffer.from([0xff])
    const batch = { messages: [garbage, message(0, 2)], alone: false }
    expect(await intake.deliver(batch)).toBe(false)
    expect(setAside).not.toHaveBeenCalled()
    isAway = false
    expect(await intake.deliver(batch)).toBe(true)
    expect(setAside).toHaveBeenCalledExactlyOnceWith([garbage], expect.any(Error))
    expect(calls).toEqual([['0@2']])
  })

  it('closes when the running call is through, and begins no other', async () => {
    const gate = deferred()
    const { intake, calls } = open(() => gate.promise)
    const running = intake.deliver(part(0, [1]))
    await vi.waitFor(() => expect(calls).toHaveLength(1))
    const waiting = intake.deliver(part(1, [1]))
    const closing = intake.close()
    gate.resolve()
    await closing
    expect(await Promise.all([running, waiting, intake.deliver(part(2, [1]))])).toEqual([true, false, false])
    expect(calls).toEqual([['0@1']])
  })
})
