import { createDeciderClient } from '../../lib/adapters/http/decider-client.ts'
import { createDeciderHttp } from '../../lib/adapters/http/decider-http.ts'
import { createIdentityClient } from '../../lib/adapters/http/identity-client.ts'
import { sharedCallbackKey } from '../../lib/runtime/callback-key.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { readSlackSettings } from '../../lib/runtime/config/slack.ts'
import { readDecider, readKafka, readMongoUrl } from '../../lib/runtime/fleet-settings.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { serve } from '../../lib/runtime/serve.ts'
import { type RunningService, type ServiceOptions, startService } from '../../lib/runtime/service.ts'
import { openBus, openStores } from '../engines.ts'
import { openNotifier } from './opening.ts'
import { peoplesApi } from './peoples-api.ts'

/** A notifier in a process of its own: Kafka, and the decider over HTTP. */
export const startNotifier = (options: ServiceOptions): Promise<RunningService> =>
  startService(
    options,
    (env, problems, config) => ({
      kafka: readKafka(env, problems),
      decider: readDecider(env, problems),
      mongoUrl: readMongoUrl(env, problems),
      slack: readSlackSettings(config?.slack, env, problems),
    }),
    async (settings, { config, log, lifecycle }) => {
      const clock = systemClock
      const metrics = createMetrics()
      const { host, port, waitForMs = 0 } = options
      const { outgoing } = await openStores(settings.mongoUrl, waitForMs, log, lifecycle)
      const bus = await openBus('notifier', settings.kafka, config, waitForMs, log)
      lifecycle.onClose('bus', () => bus.close())
      const http = createDeciderHttp(settings.decider)
      lifecycle.onClose('decider client', () => http.close())
      const identity = createIdentityClient({ http, clock })
      const decider = createDeciderClient(http)
      const notifier = openNotifier({
        ...{ bus, decider, identity, clock, log, metrics, config, lifecycle, outgoing },
        slackSettings: settings.slack,
        callbackKey: sharedCallbackKey(settings.decider.serviceKey),
      })
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
      notifier.listening(url)
      return { url }
    },
  )
