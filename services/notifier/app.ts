import type { FastifyPluginAsync } from 'fastify'
import type { Bus } from '../../lib/ports/bus.ts'
import type { Channel } from '../../lib/ports/channel.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Decider } from '../../lib/ports/decider.ts'
import type { Identity } from '../../lib/ports/identity.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'
import { Deliveries, type DeliveriesDeps } from './deliveries/deliveries.ts'
import { page } from './page.ts'
import { CloseCode, type StreamClient } from './stream/client.ts'
import { Hub } from './stream/hub.ts'
import { streamRoutes } from './stream/routes.ts'
import { webhookRoutes } from './webhooks/routes.ts'

const PING_EVERY_MS = 30_000

export interface NotifierService {
  routes: FastifyPluginAsync
  start(): Promise<void>
  /** The port is open: links to this service lead here, and what waits is sent. */
  listening(url: string): void
  /** Closes every stream with 1001. */
  drain(): void
  close(): Promise<void>
  isReady(): boolean
}

export interface NotifierDeps {
  bus: Bus
  decider: Decider
  identity: Identity
  clock: Clock
  log: Logger
  metrics: Metrics
  /** Where the built page is. */
  pageDirectory: string
  /** Ways out beside webhooks. */
  channels: readonly Channel[]
  /** What deliveries stand on. */
  outgoing: Omit<DeliveriesDeps, 'bus' | 'decider' | 'identity' | 'channels' | 'clock' | 'log' | 'metrics'>
}

/** The notifier: shows people what waits, on streams and on the page. */
export function createNotifier(deps: NotifierDeps): NotifierService {
  const { bus, decider, identity, clock, log, metrics, pageDirectory, channels, outgoing } = deps
  const hub = new Hub({ bus, decider, log })
  const deliveries = new Deliveries({ ...outgoing, bus, decider, identity, channels, clock, log, metrics })
  const clients = new Set<StreamClient>()
  let cancelPing = () => {}

  function ping(): void {
    for (const client of clients)
      client.checkAlive().catch((error: unknown) => log.warn({ err: error }, 'a stream could not be checked'))
    cancelPing = clock.after(PING_EVERY_MS, ping)
  }
  function drain(): void {
    for (const client of clients) client.close(CloseCode.goingAway, 'the server is shutting down')
  }

  return {
    routes: async (app) => {
      await app.register(streamRoutes, { hub, decider, identity, clients, clock, log, metrics })
      await app.register(deliveries.routes)
      const { store, webhooks, listed, sender } = outgoing
      const wake = () => deliveries.changed()
      await app.register(webhookRoutes, { webhooks, deliveries: store, listed, sender, clock, wake })
      await app.register(page, { directory: pageDirectory })
    },
    async start() {
      await hub.start()
      await deliveries.start()
      cancelPing = clock.after(PING_EVERY_MS, ping)
    },
    listening: (url) => deliveries.listening(url),
    drain,
    async close() {
      cancelPing()
      drain()
      await Promise.all([hub.close(), deliveries.close()])
    },
    isReady: () => hub.isReady(),
  }
}
