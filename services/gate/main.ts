import { uuidv7, uuidv7obj } from 'uuidv7'
import { createDeciderClient } from '../../lib/adapters/http/decider-client.ts'
import { createDeciderHttp } from '../../lib/adapters/http/decider-http.ts'
import { createHttpEvaluators } from '../../lib/adapters/http/evaluator.ts'
import { createIdentityClient } from '../../lib/adapters/http/identity-client.ts'
import { createMcpUpstreams } from '../../lib/adapters/mcp/upstream.ts'
import { approvalIdFrom } from '../../lib/core/ids.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { evaluatorKey } from '../../lib/runtime/evaluator-key.ts'
import { readDecider, readGateName, readKafka } from '../../lib/runtime/fleet-settings.ts'
import { mcpSessionKey } from '../../lib/runtime/mcp-session-key.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { PolicyWatch } from '../../lib/runtime/policy-watch.ts'
import { serve } from '../../lib/runtime/serve.ts'
import { type RunningService, readPolicy, type ServiceOptions, startService } from '../../lib/runtime/service.ts'
import { openBus } from '../engines.ts'
import { createGate } from './app.ts'

/** A gate in a process of its own: Kafka, and the decider over HTTP. */
export const startGate = (options: ServiceOptions): Promise<RunningService & { reloadPolicy(): void }> =>
  startService(
    options,
    (env, problems) => ({
      kafka: readKafka(env, problems),
      decider: readDecider(env, problems),
      name: readGateName(env, options.port),
      loaded: readPolicy(options),
    }),
    async (settings, { config, log, lifecycle }) => {
      const clock = systemClock
      const metrics = createMetrics()
      const policy = new PolicyWatch({ loaded: settings.loaded, log, metrics, clock })
      lifecycle.onClose('policy', () => policy.close())
      const bus = await openBus('gate', settings.kafka, config, options.waitForMs ?? 0, log)
      lifecycle.onClose('bus', () => bus.close())
      const http = createDeciderHttp(settings.decider)
      lifecycle.onClose('decider client', () => http.close())
      const evaluators = createHttpEvaluators({ clock, newId: uuidv7, keyOf: evaluatorKey })
      lifecycle.onClose('evaluators', () => evaluators.close())
      const mcp = createMcpUpstreams(config.mcp, { clock, log, newId: uuidv7 })
      lifecycle.onClose('mcp servers', async () => {
        await Promise.all(mcp.map(({ upstream }) => upstream.close()))
      })
      const gate = createGate({
        bus,
        decider: createDeciderClient(http),
        clock,
        log,
        metrics,
        policy: () => policy.current,
        evaluatorOf: (settings) => evaluators.of(settings),
        newApprovalId: () => approvalIdFrom(uuidv7obj().bytes),
        name: settings.name,
        config: config.gate,
        mcp: { servers: mcp, sessionKey: mcpSessionKey(settings.decider.serviceKey) },
        upstreams: config.upstreams,
        callbackHosts: config.callbacks?.hosts ?? [],
      })
      lifecycle.onClose('gate', () => gate.close())
      await gate.start()
      const { host, port } = options
      const url = await serve(
        {
          host,
          port,
          identity: createIdentityClient({ http, clock }),
          log,
          metrics,
          routes: [gate.routes],
          checks: [{ name: 'gate', isReady: () => gate.isReady() }],
          drain: () => gate.drain(),
        },
        lifecycle,
      )
      return { url, reloadPolicy: () => policy.reload() }
    },
  )
