import type { Server } from 'node:net'
import type { FastifyPluginAsync } from 'fastify'
import type { Identity } from '../ports/identity.ts'
import { type Check, health } from './health.ts'
import { createHttpApp } from './http-app.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'

/**
 * Opens the port for the routes of one or several services, with health and metrics; resolves with its base URL.
 * When the lifecycle closes, `drain` answers those who wait, and then the port is closed.
 */
export async function serve(
  deps: {
    host: string
    port: number
    identity: Identity
    log: Logger
    metrics: Metrics
    routes: readonly FastifyPluginAsync[]
    checks: readonly Check[]
    drain: () => Promise<void> | void
  },
  lifecycle: Lifecycle,
): Promise<string> {
  const { host, port, identity, log, metrics, routes, checks, drain } = deps
  const app = await createHttpApp({ identity, log, metrics })
  for (const each of routes) await app.register(each)
  await app.register(health, { metrics, checks })
  lifecycle.onClose('http', () => app.close())
  await app.listen({ port, host })
  lifecycle.onClose('waiting callers', drain)
  return urlOf(app.server.address(), host)
}

function urlOf(address: ReturnType<Server['address']>, host: string): string {
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
