import { systemClock } from '../../lib/runtime/clock.ts'
import { Directory } from '../../lib/runtime/directory.ts'
import { readKafka, readMongoUrl, readServiceKey } from '../../lib/runtime/fleet-settings.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { serve } from '../../lib/runtime/serve.ts'
import { type RunningService, type ServiceOptions, startService } from '../../lib/runtime/service.ts'
import { openBus, openStores } from '../engines.ts'
import { createDecider } from './app.ts'

/** A decider in a process of its own: Kafka and MongoDB. */
export const startDecider = (options: ServiceOptions): Promise<RunningService> =>
  startService(
    options,
    (env, problems) => ({
      kafka: readKafka(env, problems),
      mongoUrl: readMongoUrl(env, problems),
      serviceKey: readServiceKey(env, problems),
    }),
    async ({ kafka, mongoUrl, serviceKey }, { config, log, lifecycle }) => {
      const clock = systemClock
      const metrics = createMetrics()
      const { host, port, waitForMs = 0 } = options
      const { store, keys } = await openStores(mongoUrl, waitForMs, log, lifecycle)
      const bus = await openBus('decider', kafka, config, waitForMs, log)
      lifecycle.onClose('bus', () => bus.close())
      const directory = new Directory(config, keys, clock, serviceKey)
      const service = createDecider({
        store,
        bus,
        clock,
        log,
        metrics,
        directory,
        decideTopic: config.topics.decide,
        retentionMs: config.retention.approvalsMs,
      })
      lifecycle.onClose('decider', () => service.close())
      await service.start()
      const url = await serve(
        {
          host,
          port,
          identity: directory,
          log,
          metrics,
          routes: [service.routes],
          checks: [{ name: 'decider', isReady: () => service.isReady() }],
          drain: () => service.drain(),
        },
        lifecycle,
      )
      return { url }
    },
  )
