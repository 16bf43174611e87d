import type { Collection, Filter } from 'mongodb'
import { turnOf } from '../../core/delivery-line.ts'
import type { Delivery, DeliveryStore } from '../../ports/delivery-store.ts'
import { type Calls, DEADLINE_MS } from './availability.ts'
import { type DeliveryDocument, deliveryOf } from './delivery-document.ts'

type Claim = Parameters<DeliveryStore['claim']>[0]
type Place = Pick<Delivery, 'id' | 'version' | 'createdAt' | 'status' | 'dueAt' | 'owner' | 'approvalId'>
/** One that must stand back, and until when. */
interface Held {
  place: Place
  until: number
}

/** The most that one round looks at. */
const BATCH = 200
const READ = { batchSize: BATCH * 5, maxTimeMS: DEADLINE_MS }
const PLACE = { version: 1, createdAt: 1, status: 1, dueAt: 1, owner: 1, approvalId: 1, heldFrom: 1 } as const

/**
 * Claims of many workers at once. Each takes a delivery by a swap that fails when another was faster. One that must
 * stand back behind another of its approval is put off, so that nobody looks at it in vain; `release` brings it back.
 */
export function createDeliveryClaims(deps: { deliveries: Collection<DeliveryDocument>; calls: Calls }) {
  const { deliveries, calls } = deps

  const comeUp = ({ endpoint, now }: Claim, limit: number): Promise<Place[]> =>
    calls.run(async () => {
      const filter = { status: 'waiting', endpoint, dueAt: { $lte: now } } as const
      const options = { ...READ, sort: { dueAt: 1 }, limit, projection: PLACE } as const
      return (await deliveries.find(filter, options).toArray()).map(placeOf)
    })

  /** The deliveries of each approval that still matter, as they stand before anybody was put off. */
  async function linesOf(endpoint: string, places: readonly Place[]): Promise<Map<string, Place[]>> {
    const approvals = [...new Set(places.flatMap(({ approvalId }) => approvalId ?? []))]
    if (approvals.length === 0) return new Map()
    const found = await calls.run(() => {
      const ended = { status: { $ne: 'waiting' }, owner: null } as const
      const filter = { approvalId: { $in: approvals }, endpoint, $nor: [ended] }
      return deliveries.find(filter, { ...READ, projection: PLACE }).toArray()
    })
    const lines = new Map<string, Place[]>(approvals.map((approvalId) => [approvalId, []]))
    for (const each of found)
      lines.get(each.approvalId ?? '')?.push({ ...placeOf(each), dueAt: each.heldFrom ?? each.dueAt })
    return lines
  }

  /** Undefined when another worker was faster. */
  async function take({ id, owner, dueAt }: Place, claim: Claim): Promise<Delivery | undefined> {
    const seen: Filter<DeliveryDocument> = { _id: id, status: 'waiting', owner, $or: [{ dueAt }, { heldFrom: dueAt }] }
    const change = { owner: claim.owner, dueAt: claim.now + claim.leaseMs, heldFrom: null }
    const taken = await calls.run(() =>
      deliveries.findOneAndUpdate(seen, { $set: change, $inc: { attempts: 1 } }, { returnDocument: 'after' }),
    )
    return taken ? deliveryOf(taken) : undefined
  }

  async function putOff(held: readonly Held[], { endpoint, now }: Claim): Promise<void> {
    if (held.length === 0) return
    const operations = held.map(({ place: { id, owner, dueAt }, until }) => ({
      updateOne: {
        filter: { _id: id, status: 'waiting' as const, owner, dueAt },
        update: [{ $set: { heldFrom: { $ifNull: ['$heldFrom', '$dueAt'] }, dueAt: until } }],
      },
    }))
    await calls.run(() => deliveries.bulkWrite(operations, { ordered: false }))
    // What they stand behind may have ended meanwhile, when there was nothing to release yet.
    const lines = await linesOf(
      endpoint,
      held.map(({ place }) => place),
    )
    const isNext = ({ place }: Held) => {
      const turn = turnOf(place.id, lines.get(place.approvalId ?? '') ?? [], now)
      return turn.type === 'now' && turn.delivery.id === place.id
    }
    await Promise.all(held.filter(isNext).map(({ place: { approvalId } }) => release({ approvalId, endpoint })))
  }

  /** Those that stood back in this line are due as they were before. */
  async function release(line: { approvalId: string | null; endpoint?: string }): Promise<void> {
    await calls.run(() =>
      deliveries.updateMany({ ...line, status: 'waiting', heldFrom: { $ne: null } }, [
        { $set: { dueAt: '$heldFrom', heldFrom: null } },
      ]),
    )
  }

  /** Of those that have come up: at most so many to take, and those that stand behind them or behind others. */
  function choose(places: Iterator<Place>, lines: Map<string, Place[]>, claim: Claim, limit: number) {
    const chosen: Place[] = []
    const held: Held[] = []
    const out = { owner: claim.owner, dueAt: claim.now + claim.leaseMs }
    while (chosen.length < limit) {
      const { value: place, done } = places.next()
      if (done) return { chosen, held, isMore: false }
      const line = (place.approvalId !== null && lines.get(place.approvalId)) || [place]
      const turn = turnOf<Place>(place.id, line, claim.now)
      if (turn.type === 'later') held.push({ place, until: turn.at })
      if (turn.type !== 'now') continue
      chosen.push({ ...turn.delivery })
      if (turn.delivery.id !== place.id) held.push({ place, until: out.dueAt })
      Object.assign(turn.delivery, out)
    }
    return { chosen, held, isMore: true }
  }

  return {
    release,
    async claim(claim: Claim): Promise<Delivery[]> {
      const claimed: Delivery[] = []
      for (let size = Math.min(BATCH, claim.limit * 4); claimed.length < claim.limit; size = BATCH) {
        const places = await comeUp(claim, size)
        const lines = await linesOf(claim.endpoint, places)
        const rest = places[Symbol.iterator]()
        for (let isMore = true; isMore && claimed.length < claim.limit; ) {
          const choice = choose(rest, lines, claim, claim.limit - claimed.length)
          const taken = await Promise.all(choice.chosen.map((place) => take(place, claim)))
          claimed.push(...taken.filter((delivery) => delivery !== undefined))
          await putOff(choice.held, claim)
          isMore = choice.isMore
        }
        if (places.length < size) break
      }
      return claimed
    },
  }
}

const placeOf = ({ _id, version, createdAt, status, dueAt, owner, approvalId }: DeliveryDocument): Place => ({
  id: _id,
  version,
  createdAt,
  status,
  dueAt,
  owner,
  approvalId,
})
