import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'
const MIN_BYTES = 24
const MAX_BYTES = 64

/** The key of a secret as Standard Webhooks spells it (`whsec_` and base64 of 24 to 64 bytes), or undefined. */
export function webhookKey(secret: string): Buffer | undefined {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : ''
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length >= MIN_BYTES && key.length <= MAX_BYTES ? key : undefined
}

/**
 * The headers that prove who sent a body (Standard Webhooks 1.0.0, symmetric). `at` is in milliseconds since the epoch.
 * Several keys sign during a rotation: one signature each, with spaces between, and a receiver takes the one it knows.
 */
export function webhookHeaders(
  keys: Buffer | readonly Buffer[],
  { id, at, body }: { id: string; at: number; body: string },
) {
  const timestamp = String(Math.floor(at / 1000))
  const sign = (key: Buffer) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
  const signatures = (Buffer.isBuffer(keys) ? [keys] : keys).map(sign)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}
