import { uuidv7 } from 'uuidv7'
import { openSlackWorkspace } from '../../lib/adapters/slack/workspace.ts'
import { createWebhookSender } from '../../lib/adapters/webhook/sender.ts'
import type { SlackSettings } from '../../lib/runtime/config/slack.ts'
import type { Config } from '../../lib/runtime/config.ts'
import type { Lifecycle } from '../../lib/runtime/lifecycle.ts'
import { politePace } from '../../lib/runtime/pace.ts'
import { VERSION } from '../../lib/runtime/version.ts'
import { openChannels } from '../channels.ts'
import { pageDirectory } from '../page-directory.ts'
import { createNotifier, type NotifierDeps, type NotifierService } from './app.ts'
import { listedWebhooks } from './deliveries/listed-webhooks.ts'
import { createSlack } from './slack/slack.ts'

/** The notifier with the ways out that the configuration lists; what they stand on is closed by the lifecycle. */
export function openNotifier(
  deps: Omit<NotifierDeps, 'pageDirectory' | 'channels' | 'outgoing'> & {
    config: Config
    lifecycle: Lifecycle
    /** Undefined: nobody decides in Slack. */
    slackSettings: SlackSettings | undefined
    outgoing: Pick<NotifierDeps['outgoing'], 'store' | 'webhooks'>
    /** What links that decide are signed with. */
    callbackKey: Buffer
  },
): NotifierService {
  const { bus, decider, identity, clock, log, metrics, config, lifecycle, slackSettings } = deps
  const { publicUrl } = config
  const slack =
    slackSettings &&
    createSlack({
      ...openSlackWorkspace({ ...slackSettings, clock, log }),
      ...{ settings: slackSettings, publicUrl, decider, identity, clock, log, metrics },
    })
  const sender = createWebhookSender({
    allowPrivate: config.network.allowPrivate,
    userAgent: `Countersign/${VERSION}`,
    clock,
  })
  lifecycle.onClose('webhook sender', () => sender.close())
  const notifier = createNotifier({
    ...{ bus, decider, identity, clock, log, metrics },
    pageDirectory: pageDirectory(),
    channels: [...openChannels(config, log, lifecycle), ...(slack ? [slack.channel] : [])],
    outgoing: {
      ...deps.outgoing,
      listed: listedWebhooks(config.webhooks),
      callbacks: config.callbacks,
      callbackKey: deps.callbackKey,
      publicUrl,
      sender,
      pace: politePace(),
      random: Math.random,
      owner: uuidv7(),
      retentionMs: config.retention.eventsMs,
    },
  })
  if (!slack) return notifier
  return {
    ...notifier,
    async routes(app) {
      await app.register(notifier.routes)
      await app.register(slack.routes)
    },
    async start() {
      await notifier.start()
      slack.start()
    },
    async close() {
      await slack.close()
      await notifier.close()
    },
  }
}
