import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Extent, rewound, topicNames } from '../../../../lib/adapters/kafka/topics.ts'

const extents = (...lengths: number[]): Extent[] =>
  lengths.map((length, partition) => ({ topic: 't', partition, low: 100, end: 100 + length }))
const shares = (of: Extent[], count: number): number[] => {
  const starts = rewound(of, count)
  return of.map((extent) => extent.end - starts.get(extent)!)
}

describe('rewinding', () => {
  it.each([
    [[10, 10, 10], 0, [0, 0, 0]],
    [[10, 10, 10], 6, [2, 2, 2]],
    [[5, 0, 0], 2, [2, 0, 0]],
    [[2, 10, 1], 9, [2, 6, 1]],
    [[3, 4], 1_000, [3, 4]],
    [[], 5, []],
  ])('shares over partitions that hold %j, for %i', (lengths, count, expected) => {
    expect(shares(extents(...lengths), count)).toEqual(expected)
  })

  it('gives as many as asked for, or all, and never more of a partition than it holds', () => {
    const lengths = fc.array(fc.nat(2_000), { maxLength: 30 })
    fc.assert(
      fc.property(lengths, fc.nat(20_000), (all, count) => {
        const given = shares(extents(...all), count)
        const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0)
        expect(sum(given)).toBe(Math.min(count, sum(all)))
        for (const [index, share] of given.entries()) {
          expect(share).toBeGreaterThanOrEqual(0)
          expect(share).toBeLessThanOrEqual(all[index]!)
        }
      }),
    )
  })
})

describe('topics', () => {
  it('have names with a prefix in Kafka, and without one in deliveries', () => {
    const names = topicNames('team-a.')
    expect(names.kafkaName('approval.decided')).toBe('team-a.approval.decided')
    expect(names.deadLetters('approval.decided')).toBe('team-a.approval.decided.dlq')
    const place = { topic: 'team-a.approval.decided', partition: 11 }
    expect(names.partitionOf(place)).toBe('approval.decided/11')
    expect(names.placeOf('approval.decided/11')).toEqual(place)
    expect(() => names.topicOf('approval.decided')).toThrow('no topic of ours')
  })
})
