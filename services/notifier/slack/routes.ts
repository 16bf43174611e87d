import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import { parseStrictJson } from '../../../lib/core/strict-json.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import type { Metrics } from '../../../lib/runtime/metrics.ts'
import { answers } from '../../../lib/runtime/schemas.ts'
import type { Answer } from './clicks.ts'
import { isSignedBySlack } from './signature.ts'

/** A payload holds the card that was clicked. */
const MAX_BODY_BYTES = 256 * 1024

/** Where Slack sends what people do on cards. The signature over the raw body is the credential. */
export const slackRoutes: FastifyPluginAsync<{
  clicks: { answer(payload: unknown): Promise<Answer> }
  signingSecret: string
  clock: Clock
  metrics: Metrics
}> = async (app, { clicks, signingSecret, clock, metrics }) => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES },
    async (_request: FastifyRequest, body: Buffer) => body,
  )

  app.post(
    '/slack/actions',
    {
      config: { access: 'public' },
      bodyLimit: MAX_BODY_BYTES,
      schema: {
        summary: 'What people do on Slack cards (called by Slack)',
        description:
          'A form with one field, `payload`, signed by Slack over the raw body. Served where `slack` is configured and SLACK_SIGNING_SECRET is set.',
        security: [],
        tags: ['slack'],
        consumes: ['application/x-www-form-urlencoded'],
        response: answers({ 200: Type.Object({}, { additionalProperties: true }) }),
      },
    },
    async (request, reply) => {
      const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
      const isSigned = isSignedBySlack({
        secret: signingSecret,
        signature: headerOf(request, 'x-slack-signature'),
        timestamp: headerOf(request, 'x-slack-request-timestamp'),
        body,
        now: clock.now(),
      })
      if (!isSigned) {
        metrics.slackClicks.inc({ result: 'unsigned' })
        throw new CountersignError(
          'unauthenticated',
          'The request is not signed by Slack, or not within the last five minutes.',
        )
      }
      const answer = await clicks.answer(payloadOf(body))
      return reply.code(200).send(answer ?? {})
    },
  )
}

function headerOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

function payloadOf(body: Buffer): unknown {
  const payload = new URLSearchParams(body.toString('utf8')).get('payload')
  if (payload === null) throw new CountersignError('invalid_request', 'The form has no payload.')
  try {
    return parseStrictJson(payload)
  } catch {
    throw new CountersignError('invalid_request', 'The payload is not JSON.')
  }
}
