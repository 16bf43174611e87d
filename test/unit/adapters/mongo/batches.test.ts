import { describe, expect, it } from 'vitest'
import { type Answer, createBatches } from '../../../../lib/adapters/mongo/batches.ts'

/** Batches of numbers whose sending and answering is done by hand. */
function handMade(inFlight: number) {
  const sent: { operations: number[]; answer: (answers: Answer<string>[]) => void; fail: (error: Error) => void }[] = []
  const scheduled: (() => void)[] = []
  const batches = createBatches<number, string>({
    inFlight,
    schedule: (flush) => scheduled.push(flush),
    send: (operations) => new Promise((answer, fail) => sent.push({ operations, answer, fail })),
  })
  const turn = () => {
    for (const flush of scheduled.splice(0)) flush()
  }
  const sizes = () => sent.map(({ operations }) => operations.length)
  return { batches, sent, sizes, turn }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))
const echo = (operations: number[]) => operations.map((operation) => ({ value: `did ${operation}` }))

describe('batches', () => {
  it('send together what was added together, and give each its own answer', async () => {
    const { batches, sent, turn } = handMade(1)
    const added = [1, 2, 3].map((each) => batches.add(each))
    expect(sent).toEqual([])
    turn()
    expect(sent[0]?.operations).toEqual([1, 2, 3])
    sent[0]?.answer([{ value: 'a' }, { error: new Error('b') }, { value: 'c' }])
    expect(await Promise.allSettled(added)).toMatchObject([
      { value: 'a' },
      { status: 'rejected', reason: { message: 'b' } },
      { value: 'c' },
    ])
  })

  it('gather what comes while as many as may be are under way', async () => {
    const { batches, sent, sizes, turn } = handMade(2)
    const added: Promise<string>[] = []
    for (const each of [1, 2, 3, 4]) {
      added.push(batches.add(each))
      turn()
    }
    expect(sizes()).toEqual([1, 1])
    sent[0]?.answer(echo(sent[0].operations))
    await settled()
    turn()
    expect(sizes()).toEqual([1, 1, 2])
    for (const { operations, answer } of sent) answer(echo(operations))
    expect(await Promise.all(added)).toEqual(['did 1', 'did 2', 'did 3', 'did 4'])
  })

  it('are of bounded size', () => {
    const { batches, sizes, turn } = handMade(2)
    for (let each = 0; each < 1_200; each++) void batches.add(each)
    turn()
    expect(sizes()).toEqual([500, 500])
  })

  it('refuse those that wait when one cannot be sent, and go on with those that come later', async () => {
    const { batches, sent, turn } = handMade(1)
    const under = batches.add(1)
    turn()
    const waiting = batches.add(2)
    sent[0]?.fail(new Error('away'))
    expect(await Promise.allSettled([under, waiting])).toMatchObject([
      { reason: { message: 'away' } },
      { reason: { message: 'away' } },
    ])
    const later = batches.add(3)
    turn()
    sent[1]?.answer([{ value: 'back' }])
    expect(await later).toBe('back')
  })

  it('are flushed without waiting for their turn', async () => {
    const { batches, sent } = handMade(1)
    const added = Array.from({ length: 501 }, (_, each) => batches.add(each))
    const flushed = batches.flush()
    sent[0]?.answer(echo(sent[0].operations))
    await settled()
    sent[1]?.answer(echo(sent[1].operations))
    await flushed
    expect(await Promise.all(added)).toHaveLength(501)
  })
})
