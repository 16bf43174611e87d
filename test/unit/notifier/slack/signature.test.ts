import { expect, it } from 'vitest'
import { isSignedBySlack } from '../../../../services/notifier/slack/signature.ts'
import { SIGNING_SECRET, signatureOf } from '../../../support/slack-server.ts'

/** The example of https://docs.slack.dev/authentication/verifying-requests-from-slack */
const EXAMPLE = {
  secret: '8f742231b10e8888abcd99yyyzzz85a5',
  timestamp: '1531420618',
  signature: 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
  body: Buffer.from(
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
  ),
  now: 1_531_420_618_000,
}

it('the example that Slack documents is signed', () => {
  expect(isSignedBySlack(EXAMPLE)).toBe(true)
})

it.each([
  ['another body', { body: Buffer.from('token=other') }],
  ['another secret', { secret: SIGNING_SECRET }],
  ['another timestamp', { timestamp: '1531420619' }],
  ['no signature', { signature: undefined }],
  ['no timestamp', { timestamp: undefined }],
  ['an empty signature', { signature: '' }],
  ['a short signature', { signature: EXAMPLE.signature.slice(0, -1) }],
  ['a long signature', { signature: `${EXAMPLE.signature}0` }],
  ['another version', { signature: EXAMPLE.signature.replace('v0', 'v1') }],
  ['capitals', { signature: EXAMPLE.signature.toUpperCase() }],
  ['a timestamp that is no number', { timestamp: '1531420618.0' }],
  ['a stale timestamp', { now: EXAMPLE.now + 301_000 }],
  ['a timestamp to come', { now: EXAMPLE.now - 301_000 }],
])('with %s it is not', (_, change) => {
  expect(isSignedBySlack({ ...EXAMPLE, ...change })).toBe(false)
})

it('five minutes either way are allowed', () => {
  for (const shift of [-299_000, 299_000]) expect(isSignedBySlack({ ...EXAMPLE, now: EXAMPLE.now + shift })).toBe(true)
})

it('what counts are the bytes, whatever they are', () => {
  const body = 'payload=%E2%82%AC'
  const headers = signatureOf(body)
  const request = {
    ...{ secret: SIGNING_SECRET, now: Date.now(), body: Buffer.from(body) },
    ...{ signature: headers['x-slack-signature'], timestamp: headers['x-slack-request-timestamp'] },
  }
  expect(isSignedBySlack(request)).toBe(true)
  expect(isSignedBySlack({ ...request, body: Buffer.from('payload=€') })).toBe(false)
})
