import { createDeciderClient } from '../../lib/adapters/http/decider-client.ts'
import { createDeciderHttp } from '../../lib/adapters/http/decider-http.ts'
import { createIdentityClient } from '../../lib/adapters/http/identity-client.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { readDecider, readKafka } from '../../lib/runtime/fleet-settings.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { serve } from '../../lib/runtime/serve.ts'
import { type RunningService, type ServiceOptions, startService } from '../../lib/runtime/service.ts'
import { openBus } from '../engines.ts'
import { pageDirectory } from '../page-directory.ts'
import { createNotifier } from './app.ts'
import { peoplesApi } from './peoples-api.ts'

/** A notifier in a process of its own: Kafka, and the decider over HTTP. */
export const startNotifier = (options: ServiceOptions): Promise<RunningService> =>
  startService(
    options,
    (env, problems) => ({ kafka: readKafka(env, problems), decider: readDecider(env, problems) }),
    async (settings, { config, log, lifecycle }) => {
      const clock = systemClock
      const metrics = createMetrics()
      const { host, port, waitForMs = 0 } = options
      const bus = await openBus('notifier', settings.kafka, config, waitForMs, log)
      lifecycle.onClose('bus', () => bus.close())
      const http = createDeciderHttp(settings.decider)
      lifecycle.onClose('decider client', () => http.close())
      const identity = createIdentityClient({ http, clock })
      const decider = createDeciderClient(http)
      const notifier = createNotifier({ bus, decider, identity, clock, log, metrics, pageDirectory: pageDirectory() })
      lifecycle.onClose('notifier', () => notifier.close())
      await notifier.start()
      const url = await serve(
        {
          host,
          port,
          identity,
          log,
          metrics,
          routes: [notifier.routes, peoplesApi(settings.decider.url)],
          checks: [{ name: 'notifier', isReady: () => notifier.isReady() }],
          drain: () => notifier.drain(),
        },
        lifecycle,
      )
      return { url }
    },
  )
