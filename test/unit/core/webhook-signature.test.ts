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
