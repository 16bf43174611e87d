import { afterEach, describe, expect, it } from 'vitest'
import { FAILING_PAUSE_MS, type WebhookStore } from '../../lib/ports/webhook-store.ts'
import { aWebhook, CREATED_AT } from '../support/deliveries.ts'

/** A store over storage of its own, empty at first. */
export interface WebhookStoreHarness {
  store: WebhookStore
  /** Another instance on the same storage at the same time, as another process has it. */
  openAnother(): Promise<WebhookStore>
  /** Another instance over the same storage, after those before were closed. */
  reopen(): Promise<WebhookStore>
  /** Closes what is open and removes the storage. */
  cleanUp(): Promise<void>
}

const AT = CREATED_AT

/** What every webhook store must do. */
export function runWebhookStoreConformance(name: string, makeHarness: () => Promise<WebhookStoreHarness>): void {
  describe(`webhook store: ${name}`, () => {
    const harnesses: WebhookStoreHarness[] = []
    const start = async (): Promise<WebhookStoreHarness> => {
      const harness = await makeHarness()
      harnesses.push(harness)
      return harness
    }
    afterEach(async () => {
      for (const harness of harnesses.splice(0)) await harness.cleanUp()
    })

    describe('endpoints', () => {
      it('come back as they were stored, also after a restart', async () => {
        const harness = await start()
        const webhook = aWebhook({
          callbackAs: 'bot',
          enabled: false,
          secrets: [
            { secret: 'whsec_new', until: null },
            { secret: 'whsec_old', until: AT + 1 },
          ],
        })
        expect(await harness.store.insert(webhook)).toBe(true)
        expect(await harness.store.get(webhook.id)).toEqual(webhook)
        expect(await harness.store.get('whk_unknown')).toBeUndefined()
        const store = await harness.reopen()
        expect(await store.list()).toEqual([webhook])
      })

      it('are inserted once: the first stays', async () => {
        const { store } = await start()
        const webhook = aWebhook()
        await store.insert(webhook)
        expect(await store.insert({ ...webhook, url: 'https://other.example' })).toBe(false)
        expect(await store.get(webhook.id)).toEqual(webhook)
      })

      it('are listed in the order of their creation, of every tenant', async () => {
        const { store } = await start()
        const webhooks = [3, 1, 2].map((age) => aWebhook({ createdAt: AT + age, tenant: `t${age}` }))
        for (const webhook of webhooks) await store.insert(webhook)
        expect(await store.list()).toEqual([webhooks[1], webhooks[2], webhooks[0]])
      })

      it('are replaced only from the version that was read', async () => {
        const { store } = await start()
        const webhook = aWebhook()
        const next = { ...webhook, url: 'https://next.example', version: 2 }
        expect(await store.replace(1, next)).toBe(false)
        await store.insert(webhook)
        expect(await store.replace(2, next)).toBe(false)
        expect(await store.replace(1, next)).toBe(true)
        expect(await store.replace(1, { ...next, url: 'https://late.example' })).toBe(false)
        expect(await store.get(webhook.id)).toEqual(next)
      })

      it('are replaced by one of many that read the same version', async () => {
        const harness = await start()
        const stores = [harness.store, await harness.openAnother()]
        const webhook = aWebhook()
        await harness.store.insert(webhook)
        const won = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            stores[index % 2]!.replace(1, { ...webhook, description: `${index}`, version: 2 }),
          ),
        )
        expect(won.filter(Boolean)).toHaveLength(1)
        expect(await harness.store.get(webhook.id)).toMatchObject({ description: `${won.indexOf(true)}` })
      })

      it('are removed once, with their health', async () => {
        const { store } = await start()
        const [webhook, other] = [aWebhook(), aWebhook()]
        for (const { id, tenant } of [webhook, other]) {
          await store.insert(id === webhook.id ? webhook : other)
          await store.noted({ endpoint: id, tenant, at: AT, succeeded: true })
        }
        expect(await store.remove(webhook.id)).toBe(true)
        expect(await store.remove(webhook.id)).toBe(false)
        expect(await store.list()).toEqual([other])
        expect((await store.health()).map(({ endpoint }) => endpoint)).toEqual([other.id])
      })
    })

    describe('health', () => {
      const note = (store: WebhookStore, at: number, succeeded: boolean, endpoint = 'ops') =>
        store.noted({ endpoint, tenant: 'default', at, succeeded })
      const healthy = { endpoint: 'ops', tenant: 'default', failingSince: null, disabled: null }

      it('is unknown before the first attempt, and then what the attempts say', async () => {
        const { store } = await start()
        expect(await store.health()).toEqual([])
        const first = { ...healthy, lastAttemptAt: AT, lastSuccessAt: AT }
        expect(await note(store, AT, true)).toEqual(first)
        const failing = { ...first, failingSince: AT + 5, lastAttemptAt: AT + 5 }
        expect(await note(store, AT + 5, false)).toEqual(failing)
        expect(await note(store, AT + 9, false)).toEqual({ ...failing, lastAttemptAt: AT + 9 })
        expect(await store.health()).toEqual([{ ...failing, lastAttemptAt: AT + 9 }])
        expect(await note(store, AT + 10, true)).toEqual({ ...healthy, lastAttemptAt: AT + 10, lastSuccessAt: AT + 10 })
      })

      it('begins with a failure, too', async () => {
        const { store } = await start()
        expect(await note(store, AT, false)).toEqual({
          ...healthy,
          failingSince: AT,
          lastAttemptAt: AT,
          lastSuccessAt: null,
        })
      })

      it('begins to fail anew when the latest attempt is longer ago than a pause', async () => {
        const { store } = await start()
        await note(store, AT, false)
        expect(await note(store, AT + FAILING_PAUSE_MS, false)).toMatchObject({ failingSince: AT })
        const late = AT + 2 * FAILING_PAUSE_MS + 1
        expect(await note(store, late, false)).toMatchObject({ failingSince: late, lastAttemptAt: late })
      })

      it('is not changed back by a note that comes late', async () => {
        const { store } = await start()
        await note(store, AT + 5, false)
        expect(await note(store, AT + 2, true)).toEqual({
          ...healthy,
          failingSince: AT + 5,
          lastAttemptAt: AT + 5,
          lastSuccessAt: AT + 2,
        })
        await note(store, AT + 9, true)
        expect(await note(store, AT + 7, false)).toMatchObject({ failingSince: null, lastAttemptAt: AT + 9 })
        expect(await note(store, AT + 8, true)).toMatchObject({ lastSuccessAt: AT + 9 })
      })

      it('counts every one of many notes at once', async () => {
        const harness = await start()
        const stores = [harness.store, await harness.openAnother()]
        await Promise.all(
          Array.from({ length: 40 }, (_, index) => note(stores[index % 2]!, AT + index, index % 4 !== 0)),
        )
        const [health] = await harness.store.health()
        expect(health).toEqual({ ...healthy, lastAttemptAt: AT + 39, lastSuccessAt: AT + 39 })
      })

      it('says that an endpoint was disabled, to one of those who disable it', async () => {
        const harness = await start()
        const stores = [harness.store, await harness.openAnother()]
        await note(harness.store, AT, false)
        const request = { endpoint: 'ops', tenant: 'default', at: AT + 9, reason: 'gone' } as const
        const told = await Promise.all(Array.from({ length: 10 }, (_, index) => stores[index % 2]!.disable(request)))
        expect(told.filter(Boolean)).toHaveLength(1)
        const disabled = { at: AT + 9, reason: 'gone' }
        expect(await harness.store.health()).toEqual([
          { ...healthy, failingSince: AT, lastAttemptAt: AT, lastSuccessAt: null, disabled },
        ])
        expect(await note(harness.store, AT + 10, true)).toMatchObject({ disabled })
      })

      it('can be disabled before any attempt, and is fresh when it is enabled again', async () => {
        const { store } = await start()
        const request = { endpoint: 'ops', tenant: 'default', at: AT, reason: 'failing' } as const
        expect(await store.disable(request)).toBe(true)
        expect(await store.health()).toEqual([
          { ...healthy, disabled: { at: AT, reason: 'failing' }, lastAttemptAt: null, lastSuccessAt: null },
        ])
        await note(store, AT + 1, false)
        await store.enable('ops')
        expect(await store.health()).toEqual([{ ...healthy, lastAttemptAt: AT + 1, lastSuccessAt: null }])
        expect(await store.disable(request)).toBe(true)
        await store.enable('unknown')
      })

      it('is of each endpoint alone, and survives a restart', async () => {
        const harness = await start()
        await note(harness.store, AT, true, 'b')
        await note(harness.store, AT, false, 'a')
        const store = await harness.reopen()
        const healths = await store.health()
        expect(healths.map(({ endpoint, failingSince }) => [endpoint, failingSince]).sort()).toEqual([
          ['a', AT],
          ['b', null],
        ])
      })
    })

    it('refuses every call once it is closed', async () => {
      const { store } = await start()
      await store.close()
      await expect(store.list()).rejects.toMatchObject({ code: 'decider_unavailable' })
      await expect(store.insert(aWebhook())).rejects.toMatchObject({ code: 'decider_unavailable' })
    })
  })
}
