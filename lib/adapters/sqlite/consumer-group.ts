import type { Delivery } from '../../ports/bus.ts'
import type { Consumer } from './consumer.ts'

/** The consumers that share the work of one group. */
export interface ConsumerGroup {
  add(consumer: Consumer): void
  remove(consumer: Consumer): void
  isEmpty(): boolean
  /** Each event goes to one member, and one approval's events to the same; false when nobody is left to handle them. */
  deliver(batch: Delivery[]): Promise<boolean>
}

export function createConsumerGroup(): ConsumerGroup {
  const members: Consumer[] = []

  return {
    add: (consumer) => {
      members.push(consumer)
    },
    remove: (consumer) => {
      const index = members.indexOf(consumer)
      if (index >= 0) members.splice(index, 1)
    },
    isEmpty: () => members.length === 0,
    async deliver(batch) {
      let rest = batch
      // What a closing member leaves goes to the others. The next batch waits for this one: that keeps the order.
      while (rest.length > 0 && members.length > 0) {
        const left = await Promise.all([...share(rest, members)].map(([member, events]) => member.deliver(events)))
        rest = left.flat().sort((a, b) => a.position.offset - b.position.offset)
      }
      return rest.length === 0
    },
  }
}

function share(batch: Delivery[], members: readonly Consumer[]): Map<Consumer, Delivery[]> {
  const shares = new Map<Consumer, Delivery[]>()
  for (const event of batch) {
    const member = members[hash(event.data.id) % members.length]!
    const events = shares.get(member)
    if (events) events.push(event)
    else shares.set(member, [event])
  }
  return shares
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}
