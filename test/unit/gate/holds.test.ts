import { expect, test } from 'vitest'
import type { ApprovalDecided } from '../../../lib/core/events.ts'
import { Holds } from '../../../services/gate/holds.ts'
import { HandClock } from '../../support/hand-clock.ts'

const start = () =>
  new Holds({ clock: new HandClock(0), limits: { maxHolds: 9, maxHoldsPerAgent: 9 }, newHolder: () => 'g:0:1' })
const staying = new AbortController().signal
const event = { id: 'apr_1', outcome: 'approved' } as ApprovalDecided

test('a decision that comes while its approval is still being joined is not lost', async () => {
  const holds = start()
  const hold = holds.open('agent', staying)
  holds.decided(event)
  hold.bind(event.id)
  expect(await Promise.race([hold.next(), 'nothing'])).toEqual({ type: 'decided', event })
})

test('of those who wait for an approval the newest is the first to wake: an older one may be dead already', async () => {
  const holds = start()
  const woken: number[] = []
  const all = [0, 1, 2].map((number) => {
    const hold = holds.open('agent', staying)
    hold.bind(event.id)
    return hold.next().then(() => woken.push(number))
  })
  holds.decided(event)
  await Promise.all(all)
  expect(woken).toEqual([2, 1, 0])
})

test('a gate that stops sends everybody away and takes nobody in', async () => {
  const holds = start()
  const hold = holds.open('agent', staying)
  holds.stop()
  expect(await Promise.race([hold.next(), 'nothing'])).toEqual({ type: 'stopping' })
  expect(() => holds.open('agent', staying)).toThrow(expect.objectContaining({ code: 'shutting_down' }))
})
