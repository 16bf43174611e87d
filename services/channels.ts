import { createDiscordChannel } from '../lib/adapters/discord/channel.ts'
import { createEmailChannel } from '../lib/adapters/email/channel.ts'
import { createGotifyChannel } from '../lib/adapters/gotify/channel.ts'
import { createJsonSender } from '../lib/adapters/http/json-sender.ts'
import { createNtfyChannel } from '../lib/adapters/ntfy/channel.ts'
import { createTeamsChannel } from '../lib/adapters/teams/channel.ts'
import { notificationTest } from '../lib/core/notification-filter.ts'
import { cardUrl } from '../lib/core/notification-text.ts'
import type { Channel } from '../lib/ports/channel.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import type { ChannelConfig } from '../lib/runtime/config/channels.ts'
import type { Lifecycle } from '../lib/runtime/lifecycle.ts'
import type { Logger } from '../lib/runtime/logger.ts'

/** The channels that the configuration lists; their connections are closed by the lifecycle. */
export function openChannels(
  { channels, publicUrl }: { channels: readonly ChannelConfig[]; publicUrl: string | undefined },
  log: Logger,
  lifecycle: Lifecycle,
): Channel[] {
  if (channels.length === 0) return []
  const { send, close } = createJsonSender({ clock: systemClock })
  lifecycle.onClose('channels', close)
  const linkTo = (approvalId: string) => (publicUrl === undefined ? undefined : cardUrl(publicUrl, approvalId))

  return channels.map((config) => open(config))

  function open(config: ChannelConfig): Channel {
    const deps = { send, tenant: config.tenant, wants: notificationTest(config.filter), linkTo }
    switch (config.type) {
      case 'email': {
        const channel = createEmailChannel(config, { ...deps, log: { warn: (message) => log.warn(message) } })
        lifecycle.onClose(`channel ${config.id}`, () => channel.close())
        return channel
      }
      case 'ntfy':
        return createNtfyChannel(config, deps)
      case 'gotify':
        return createGotifyChannel(config, deps)
      case 'teams':
        return createTeamsChannel(config, deps)
      case 'discord':
        return createDiscordChannel(config, deps)
    }
  }
}
