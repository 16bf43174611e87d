import { expect, it } from 'vitest'
import { Channel } from '../../../../lib/adapters/mcp/channel.ts'
import { MAX_WAITING_BYTES } from '../../../../lib/adapters/mcp/limits.ts'

const QUARTER = 'x'.repeat(MAX_WAITING_BYTES / 4)

it('keeps so much for a reader that is slow, and then sends it away with what waits', async () => {
  const channel = new Channel()
  for (let times = 0; times < 5; times++) channel.put(QUARTER)
  channel.put('too late')
  const read: number[] = []
  const reading = async () => {
    for await (const { data } of channel) read.push(data.length)
  }
  await expect(reading()).rejects.toThrow(`its messages are read too slowly: more than ${MAX_WAITING_BYTES} bytes wait`)
  expect(read).toEqual([1, 2, 3, 4].map(() => QUARTER.length))
})

it('counts what is read as read, and bytes rather than characters', async () => {
  const channel = new Channel()
  const reader = channel[Symbol.asyncIterator]()
  for (let times = 0; times < 20; times++) {
    channel.put(QUARTER)
    expect((await reader.next()).value).toEqual({ data: QUARTER })
  }
  for (let times = 0; times < 3; times++) channel.put('ä'.repeat(MAX_WAITING_BYTES / 4))
  expect((await reader.next()).value).toEqual({ data: 'ä'.repeat(MAX_WAITING_BYTES / 4) })
  await expect(reader.next()).rejects.toThrow('read too slowly')
})
