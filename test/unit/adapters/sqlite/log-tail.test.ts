import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createLogTail, type DecodableRow } from '../../../../lib/adapters/sqlite/log-tail.ts'

const row = (seq: number): DecodableRow => ({
  seq,
  topic: seq % 2 === 0 ? 'even' : 'odd',
  decode: () => {
    throw new Error('not needed')
  },
})

it('gives exactly the rows of a range, or says that it has not all of them', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(40), { maxLength: 30 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(40),
      fc.nat(40),
      (unsorted, size, after, upTo) => {
        const seqs = unsorted.toSorted((a, b) => a - b)
        const tail = createLogTail(size)
        for (const seq of seqs) tail.add(row(seq))
        const kept = new Set(seqs.slice(-size))
        const range = Array.from({ length: Math.max(0, upTo - after) }, (_, index) => after + 1 + index)
        const expected = range.every((seq) => kept.has(seq)) ? range.filter((seq) => seq % 2 === 0) : undefined
        expect(tail.read(['even'], after, upTo)?.map(({ seq }) => seq)).toEqual(expected)
      },
    ),
  )
})
