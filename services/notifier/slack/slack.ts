import type { FastifyPluginAsync } from 'fastify'
import { cardUrl } from '../../../lib/core/notification-text.ts'
import type { Channel } from '../../../lib/ports/channel.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Identity } from '../../../lib/ports/identity.ts'
import type { SlackApi, SlackSocket } from '../../../lib/ports/slack.ts'
import type { SlackSettings } from '../../../lib/runtime/config/slack.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import { Cards } from './cards.ts'
import { createSlackChannel } from './channel.ts'
import { Clicks } from './clicks.ts'
import { People } from './people.ts'
import { slackRoutes } from './routes.ts'

export interface SlackService {
  channel: Channel
  routes: FastifyPluginAsync
  /** Opens Socket Mode, where it is configured, and says in the log when Slack does not know the token. */
  start(): void
  close(): Promise<void>
}

/** Slack: cards out, clicks in by HTTP or by Socket Mode. */
export function createSlack(deps: {
  api: SlackApi
  /** Undefined without SLACK_APP_TOKEN. */
  socket: SlackSocket | undefined
  settings: SlackSettings
  decider: Pick<Decider, 'lookup' | 'decide'>
  identity: Pick<Identity, 'ofPerson'>
  /** Where people reach the page, or undefined. */
  publicUrl: string | undefined
  clock: Clock
  log: Logger
  metrics: Metrics
}): SlackService {
  const { api, socket, settings, decider, identity, publicUrl, clock, log, metrics } = deps
  const { tenant, users, mode, signingSecret } = settings
  const people = new People({ api, identity, users, tenant })
  const clickable = mode === 'decide'
  const cards = new Cards({
    api,
    decider,
    optionsOf: ({ id }) => ({ clickable, pageUrl: publicUrl === undefined ? undefined : cardUrl(publicUrl, id) }),
  })
  const clicks = new Clicks({ api, decider, people, cards, tenant, clock, log, metrics })

  return {
    channel: createSlackChannel({ api, cards, people, config: settings, log }),
    routes: async (app) => {
      if (clickable && signingSecret !== undefined)
        await app.register(slackRoutes, { clicks, signingSecret, clock, metrics })
    },
    start() {
      api.home().catch((error: unknown) => log.warn({ err: error }, 'Slack does not know the bot token, or is away'))
      if (clickable) socket?.start((payload) => clicks.answer(payload))
    },
    async close() {
      await socket?.close()
      await clicks.close()
    },
  }
}
