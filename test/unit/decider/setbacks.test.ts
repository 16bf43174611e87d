import { expect, it } from 'vitest'
import { Setbacks } from '../../../services/decider/setbacks.ts'

/** How long a record is left alone after each of these failures, in milliseconds. */
function pausesOf(...failures: { isAway: boolean }[]): number[] {
  const setbacks = new Setbacks()
  let now = 1_000_000
  return failures.map(({ isAway }) => {
    setbacks.note('a', { now, isAway })
    const from = now
    while (setbacks.isLeftAlone('a', now)) now += 500
    return now - from
  })
}

it('leaves what fails alone, longer each time, up to a minute', () => {
  expect(pausesOf(...Array(8).fill({ isAway: false }))).toEqual([
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
  ])
})

it('tries what failed with the store again a second later', () => {
  expect(pausesOf({ isAway: true }, { isAway: true }, { isAway: false })).toEqual([1_000, 1_000, 2_000])
})

it('forgets what succeeded, and remembers no more than a thousand', () => {
  const setbacks = new Setbacks()
  for (let index = 0; index < 1_001; index++) setbacks.note(`${index}`, { now: 0, isAway: false })
  expect([setbacks.size, setbacks.isFull]).toEqual([1_000, true])
  expect([setbacks.isLeftAlone('0', 1), setbacks.isLeftAlone('1', 1)]).toEqual([false, true])
  setbacks.forget('1')
  expect([setbacks.isLeftAlone('1', 1), setbacks.isFull]).toEqual([false, false])
})
