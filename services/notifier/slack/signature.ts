import { createHmac, timingSafeEqual } from 'node:crypto'

/** Older and newer requests are refused: somebody may have kept them, or a clock is wrong. */
const WINDOW_S = 5 * 60
const SIGNATURE = /^v0=([0-9a-f]{64})$/

/**
 * Whether Slack signed these bytes within the last five minutes.
 * https://docs.slack.dev/authentication/verifying-requests-from-slack
 */
export function isSignedBySlack(request: {
  secret: string
  signature: string | undefined
  /** `x-slack-request-timestamp`: seconds since the epoch. */
  timestamp: string | undefined
  body: Uint8Array
  /** Milliseconds since the epoch. */
  now: number
}): boolean {
  const { secret, signature = '', timestamp = '', body, now } = request
  const given = SIGNATURE.exec(signature)?.[1]
  if (given === undefined || !/^\d{1,12}$/.test(timestamp)) return false
  if (Math.abs(now / 1000 - Number(timestamp)) > WINDOW_S) return false
  const expected = createHmac('sha256', secret).update(`v0:${timestamp}:`).update(body).digest()
  return timingSafeEqual(expected, Buffer.from(given, 'hex'))
}
