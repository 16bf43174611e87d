import { expect, it } from 'vitest'
import { Slots } from '../../../../services/notifier/deliveries/slots.ts'

const names = (count: number, prefix = 'e') => Array.from({ length: count }, (_, index) => `${prefix}${index}`)
const total = (shares: ReadonlyMap<string, number>) => [...shares.values()].reduce((sum, share) => sum + share, 0)

/** Slots where these have succeeded once. */
function slotsKnowing(endpoints: readonly string[]): Slots {
  const slots = new Slots()
  for (const endpoint of endpoints) {
    slots.begin(endpoint)
    slots.end(endpoint, true)
  }
  return slots
}

it('gives one endpoint that works four at most', () => {
  expect(slotsKnowing(['a']).share(['a'])).toEqual(new Map([['a', 4]]))
})

it('gives one that has not succeeded yet, or no more, a single one', () => {
  const slots = slotsKnowing(['a'])
  expect(slots.share(['new'])).toEqual(new Map([['new', 1]]))
  slots.begin('a')
  slots.end('a', false)
  expect(slots.share(['a'])).toEqual(new Map([['a', 1]]))
})

it('gives 32 in all, evenly', () => {
  const sound = names(20)
  const shares = slotsKnowing(sound).share(sound)
  expect(total(shares)).toBe(32)
  expect(Math.min(...shares.values())).toBe(1)
  expect(Math.max(...shares.values())).toBe(2)
})

it('keeps half of the room from those that do not work, however many hang', () => {
  const sound = names(2, 'sound')
  const slots = slotsKnowing(sound)
  const hanging = names(40, 'hanging')
  const shares = slots.share([...hanging, ...sound])
  for (const [endpoint, share] of shares) for (let each = 0; each < share; each++) slots.begin(endpoint)
  expect(hanging.filter((each) => shares.has(each))).toHaveLength(16)
  expect(sound.map((each) => shares.get(each))).toEqual([4, 4])
  expect(slots.share(hanging)).toEqual(new Map())
  slots.end('sound0', true)
  expect(slots.share([...hanging, ...sound])).toEqual(new Map([['sound0', 1]]))
})

it('counts what is in flight, and starts with who has the least', () => {
  const sound = names(12)
  const slots = slotsKnowing(sound)
  for (const endpoint of sound.slice(0, 8)) for (let each = 0; each < 3; each++) slots.begin(endpoint)
  expect(slots.inFlight).toBe(24)
  const shares = slots.share(sound)
  expect(total(shares)).toBe(8)
  expect(sound.slice(8).map((each) => shares.get(each))).toEqual([1, 1, 1, 1])
})

it('gives every one that does not work its turn: who began longest ago goes first', () => {
  const slots = new Slots()
  const hanging = names(40, 'hanging')
  const turns = new Map<string, number>()
  const takeRoom = (endpoints: readonly string[]) => {
    const taken = [...slots.share(endpoints).keys()]
    for (const endpoint of taken) {
      slots.begin(endpoint)
      turns.set(endpoint, (turns.get(endpoint) ?? 0) + 1)
    }
    return taken
  }
  for (let round = 0; round < 5; round++) for (const endpoint of takeRoom(hanging)) slots.end(endpoint, false)
  expect(turns.size).toBe(40)
  expect([...turns.values()].every((count) => count === 2)).toBe(true)
  const [first] = takeRoom(hanging)
  expect(takeRoom([...hanging, 'new'])).toEqual([])
  slots.end(first ?? '', false)
  expect(takeRoom([...hanging, 'new'])).toEqual(['new'])
})

it('gives the callbacks of agents four together, whether they work or not', () => {
  const callbacks = names(40, 'callback:')
  const slots = slotsKnowing(callbacks.slice(0, 10))
  const shares = slots.share([...callbacks, 'new'])
  expect(total(shares)).toBe(5)
  expect(shares.get('new')).toBe(1)
  for (const endpoint of shares.keys()) slots.begin(endpoint)
  expect(slots.share(callbacks)).toEqual(new Map())
})
