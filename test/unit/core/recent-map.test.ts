import { expect, it } from 'vitest'
import { RecentMap } from '../../../lib/core/recent-map.ts'

it('holds what was set last, and lets the oldest go', () => {
  const map = new RecentMap<string, number>(2)
  map.set('a', 1).set('b', 2).set('a', 3).set('c', 4)
  expect([...map]).toEqual([
    ['a', 3],
    ['c', 4],
  ])
})

it('makes room for what is taken out', () => {
  const map = new RecentMap<string, number>(2)
  map.set('a', 1).set('b', 2)
  map.delete('a')
  map.set('c', 3)
  expect([...map.keys()]).toEqual(['b', 'c'])
})
