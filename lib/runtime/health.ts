import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from './metrics.ts'

/** One thing that must be in order before a process is ready. */
export interface Check {
  name: string
  isReady(): Promise<boolean> | boolean
}

/** `/healthz`: the process runs. `/readyz`: every check holds (else 503 with the names that fail). `/metrics`: Prometheus. */
export const health: FastifyPluginAsync<{ checks: readonly Check[]; metrics: Metrics }> = async (
  app,
  { checks, metrics },
) => {
  const hidden = { schema: { hide: true }, config: { access: 'public' as const } }
  app.get('/healthz', hidden, async () => ({ status: 'ok' }))
  app.get('/readyz', hidden, async (_request, reply) => {
    const results = await Promise.all(checks.map(async (check) => ({ name: check.name, ready: await isReady(check) })))
    const failing = results.filter(({ ready }) => !ready).map(({ name }) => name)
    if (failing.length > 0) reply.code(503)
    return { status: failing.length === 0 ? 'ready' : 'not ready', failing }
  })
  app.get(
    '/metrics',
    { schema: { hide: true }, config: { access: ['admin', 'observer', 'service'] } },
    async (_request, reply) => {
      reply.type(metrics.registry.contentType)
      return metrics.registry.metrics()
    },
  )
}

async function isReady(check: Check): Promise<boolean> {
  try {
    return await check.isReady()
  } catch {
    return false
  }
}
