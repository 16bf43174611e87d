import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { expect, it } from 'vitest'
import { webhookHeaders, webhookKey } from '../../../lib/core/webhook-signature.ts'

it('signs as Standard Webhooks say', () => {
  // The published example of the specification's reference libraries.
  const key = webhookKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')!
  const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', at: 1_614_265_330_999, body: '{"test": 2432232314}' }
  expect(webhookHeaders(key, message)).toEqual({
    'webhook-id': message.id,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

const secretOf = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`
const secrets = fc.uint8Array({ minLength: 24, maxLength: 64 }).map(secretOf)

it('is verified by the reference library, by each of the keys that sign', () => {
  fc.assert(
    fc.property(fc.uniqueArray(secrets, { minLength: 1, maxLength: 3 }), fc.json(), fc.uuid(), (signing, body, id) => {
      const headers = webhookHeaders(
        signing.map((secret) => webhookKey(secret)!),
        { id, at: Date.now(), body },
      )
      expect(headers['webhook-signature'].split(' ')).toHaveLength(signing.length)
      for (const secret of signing) expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
      const stranger = new Webhook(secretOf(Buffer.alloc(32, 1)))
      expect(() => stranger.verify(body, headers)).toThrow('signature')
    }),
    { numRuns: 50 },
  )
})

it.each([
  '',
  'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  'whsec_',
  'whsec_AAAA',
  'whsec_not base64 at all, you see',
  `whsec_${'A'.repeat(100)}`,
])('takes %j for no secret', (secret) => {
  expect(webhookKey(secret)).toBeUndefined()
})
