import type { Clock } from '../../ports/clock.ts'
import type { SlackApi, SlackSocket } from '../../ports/slack.ts'
import type { SlackLogger } from './quiet-logger.ts'
import { createSlackSocket } from './socket-mode.ts'
import { createSlackApi } from './web-api.ts'

/** A Slack workspace: its Web API, and Socket Mode where there is an app-level token. */
export function openSlackWorkspace(options: {
  botToken: string
  appToken: string | undefined
  /** Ends in a slash. */
  apiUrl: string
  apiTimeoutMs: number
  clock: Clock
  log: SlackLogger
}): { api: SlackApi; socket: SlackSocket | undefined } {
  const { botToken, appToken, apiUrl, apiTimeoutMs: timeoutMs, clock, log } = options
  return {
    api: createSlackApi({ token: botToken, apiUrl, timeoutMs, log }),
    socket: appToken === undefined ? undefined : createSlackSocket({ appToken, apiUrl, timeoutMs, clock, log }),
  }
}
