import { expect, it } from 'vitest'
import type { DeliveryStore } from '../../../../lib/ports/delivery-store.ts'
import type { WebhookSender } from '../../../../lib/ports/webhook-sender.ts'
import type { Webhook, WebhookStore } from '../../../../lib/ports/webhook-store.ts'
import type { CallbackLinks } from '../../../../services/notifier/callbacks/links.ts'
import { Endpoints } from '../../../../services/notifier/deliveries/endpoints.ts'
import { aWebhook } from '../../../support/deliveries.ts'
import { HandClock } from '../../../support/hand-clock.ts'

/** Endpoints over a store whose answers come when they are let go, in any order. */
function start() {
  const reads: ((webhooks: Webhook[]) => void)[] = []
  const clock = new HandClock(0)
  const endpoints = new Endpoints({
    ...{ channels: [], listed: [], callbacks: undefined, clock },
    webhooks: {
      list: () => new Promise<Webhook[]>((resolve) => reads.push(resolve)),
      health: async () => [],
    } as Partial<WebhookStore> as WebhookStore,
    store: {} as DeliveryStore,
    sender: {} as WebhookSender,
    links: {} as CallbackLinks,
  })
  const ids = async () => (await endpoints.current()).all.map(({ id }) => id)
  return { endpoints, reads, clock, ids }
}

const [old, made] = [aWebhook({ id: 'whk_old' }), aWebhook({ id: 'whk_made' })]

it('reads once for all who ask at once, and again a second later', async () => {
  const { reads, clock, ids } = start()
  const asked = [ids(), ids()]
  reads[0]?.([old])
  expect(await Promise.all(asked)).toEqual([['whk_old'], ['whk_old']])
  expect(await ids()).toEqual(['whk_old'])
  clock.leap(1_000)
  const later = ids()
  reads[1]?.([old, made])
  expect(await later).toEqual(['whk_old', 'whk_made'])
  expect(reads).toHaveLength(2)
})

it.each(['first', 'last'])(
  'reads anew after a change, also while an older read is under way that ends %s',
  async (end) => {
    const { endpoints, reads, ids } = start()
    const before = ids()
    endpoints.forget()
    const after = ids()
    expect(reads).toHaveLength(2)
    const answers = [() => reads[0]?.([old]), () => reads[1]?.([old, made])]
    for (const answer of end === 'first' ? answers : answers.reverse()) {
      answer()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await before).toEqual(['whk_old'])
    expect(await after).toEqual(['whk_old', 'whk_made'])
    expect(await ids()).toEqual(['whk_old', 'whk_made'])
    expect(reads).toHaveLength(2)
  },
)
