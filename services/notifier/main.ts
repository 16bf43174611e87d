import { uuidv7 } from 'uuidv7'
import { createDeciderClient } from '../../lib/adapters/http/decider-client.ts'
import { createDeciderHttp } from '../../lib/adapters/http/decider-http.ts'
import { createIdentityClient } from '../../lib/adapters/http/identity-client.ts'
import { openSlackWorkspace } from '../../lib/adapters/slack/workspace.ts'
import { createWebhookSender } from '../../lib/adapters/webhook/sender.ts'
import { sharedCallbackKey } from '../../lib/runtime/callback-key.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { readSlackSettings } from '../../lib/runtime/config/slack.ts'
import { readDecider, readKafka, readMongoUrl } from '../../lib/runtime/fleet-settings.ts'
import { createMetrics } from '../../lib/runtime/metrics.ts'
import { politePace } from '../../lib/runtime/pace.ts'
import { serve } from '../../lib/runtime/serve.ts'
import { type RunningService, type ServiceOptions, startService } from '../../lib/runtime/service.ts'
import { VERSION } from '../../lib/runtime/version.ts'
import { openChannels } from '../channels.ts'
import { openBus, openStores } from '../engines.ts'
import { pageDirectory } from '../page-directory.ts'
import { createNotifier } from './app.ts'
import { listedWebhooks } from './deliveries/listed-webhooks.ts'
import { peoplesApi } from './peoples-api.ts'
import { createSlack } from './slack/slack.ts'

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
      const slack =
        settings.slack &&
        createSlack({
          ...openSlackWorkspace({ ...settings.slack, clock, log }),
          ...{ settings: settings.slack, publicUrl: config.publicUrl, decider, identity, clock, log, metrics },
        })
      const sender = createWebhookSender({
        allowPrivate: config.network.allowPrivate,
        userAgent: `Countersign/${VERSION}`,
        clock,
      })
      lifecycle.onClose('webhook sender', () => sender.close())
      const notifier = createNotifier({
        bus,
        decider,
        identity,
        clock,
        log,
        metrics,
        pageDirectory: pageDirectory(),
        channels: [...openChannels(config, log, lifecycle), ...(slack ? [slack.channel] : [])],
        outgoing: {
          ...outgoing,
          listed: listedWebhooks(config.webhooks),
          callbacks: config.callbacks,
          callbackKey: sharedCallbackKey(settings.decider.serviceKey),
          publicUrl: config.publicUrl,
          sender,
          pace: politePace(),
          random: Math.random,
          owner: uuidv7(),
          retentionMs: config.retention.eventsMs,
        },
      })
      lifecycle.onClose('notifier', () => notifier.close())
      await notifier.start()
      if (slack) {
        lifecycle.onClose('slack', () => slack.close())
        slack.start()
      }
      const url = await serve(
        {
          host,
          port,
          identity,
          log,
          metrics,
          routes: [notifier.routes, peoplesApi(settings.decider.url), ...(slack ? [slack.routes] : [])],
          checks: [{ name: 'notifier', isReady: () => notifier.isReady() }],
          drain: () => notifier.drain(),
        },
        lifecycle,
      )
      notifier.listening(url)
      return { url }
    },
  )
