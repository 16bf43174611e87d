import type { Logger, LogLevel } from '@slack/web-api'

export interface SlackLogger {
  debug(fields: object, text: string): void
  warn(fields: object, text: string): void
}

/**
 * What Slack's packages have to say goes to our log at debug level, and only what they call warnings and errors: their
 * own debug lines hold whole messages.
 */
export const quietLogger = (log: SlackLogger, part: string): Logger => ({
  debug: () => {},
  info: () => {},
  warn: (...words) => log.debug({ part, words: words.map(String) }, 'Slack client'),
  error: (...words) => log.debug({ part, words: words.map(String) }, 'Slack client'),
  setLevel: () => {},
  getLevel: () => 'error' as LogLevel,
  setName: () => {},
})
