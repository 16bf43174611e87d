import { SocketModeClient } from '@slack/socket-mode'
import type { Clock } from '../../ports/clock.ts'
import type { SlackSocket } from '../../ports/slack.ts'
import { quietLogger, type SlackLogger } from './quiet-logger.ts'

/** How long a connection may take until Slack greets on it. */
const GREETING_MS = 15_000
/** Between attempts; the last one again and again. */
const PAUSES_MS = [250, 1_000, 2_000, 5_000, 15_000, 30_000]

/**
 * Slack's Socket Mode. The connecting again is ours: the client's own ends the process by an unhandled rejection when the
 * network is away while it reconnects.
 */
export function createSlackSocket(options: {
  appToken: string
  /** Ends in a slash. */
  apiUrl: string
  timeoutMs: number
  clock: Clock
  log: SlackLogger
}): SlackSocket {
  const { appToken, apiUrl, timeoutMs, clock, log } = options
  const client = new SocketModeClient({
    appToken,
    autoReconnectEnabled: false,
    logger: quietLogger(log, 'socket-mode'),
    clientOptions: {
      slackApiUrl: apiUrl,
      timeout: timeoutMs,
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
    },
  })
  let connected = false
  let closed = false
  let failures = 0
  let cancelPause = () => {}
  let connecting: Promise<void> = Promise.resolve()
  const underWay = new Set<Promise<void>>()

  function connectSoon(): void {
    if (closed) return
    cancelPause = clock.after(PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)] ?? 0, () => {
      connecting = connect()
    })
  }
  async function connect(): Promise<void> {
    const cancel = clock.after(GREETING_MS, () => void client.disconnect())
    try {
      await client.start()
      connected = !closed
      failures = 0
    } catch (error) {
      failures++
      log.warn({ reason: reasonOf(error), failures }, 'Slack Socket Mode could not be reached; trying again')
      connectSoon()
    } finally {
      cancel()
    }
    if (closed) await client.disconnect()
  }
  client.on('disconnected', () => {
    // Before the greeting it is the attempt itself that fails.
    if (!connected) return
    connected = false
    connectSoon()
  })

  return {
    start(answer) {
      client.on('interactive', ({ ack, body }: { ack: (body?: object) => Promise<void>; body: unknown }) => {
        const work = answer(body)
          .then((reply) => ack(reply))
          .catch((error: unknown) => log.warn({ err: error }, 'an interaction of Slack was not acknowledged'))
          .finally(() => underWay.delete(work))
        underWay.add(work)
      })
      connectSoon()
    },
    async close() {
      closed = true
      connected = false
      cancelPause()
      await Promise.all(underWay)
      await client.disconnect()
      await connecting
    },
  }
}

const reasonOf = (error: unknown): string => {
  const { data, code } = (error ?? {}) as { data?: { error?: unknown }; code?: unknown }
  return String(data?.error ?? code ?? 'closed')
}
