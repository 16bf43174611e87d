import replyFrom from '@fastify/reply-from'
import type { FastifyPluginAsync } from 'fastify'
import { CountersignError } from '../../lib/core/errors.ts'

const PATHS = ['/v1/approvals', '/v1/approvals/*', '/v1/session']

/** Longer than the longest long-poll. */
const ANSWER_MS = 90_000

/**
 * Passes the people's API on to the decider with the caller's own credential, so that the page and the command line need
 * one origin. The decider says who that is and what they may do.
 */
export const peoplesApi =
  (deciderUrl: string): FastifyPluginAsync =>
  async (app) => {
    await app.register(replyFrom, {
      base: deciderUrl,
      undici: { headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS, connect: { timeout: 1_000 } },
      disableRequestLogging: true,
    })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    for (const url of PATHS)
      app.route({
        url,
        method: ['GET', 'POST', 'DELETE'],
        exposeHeadRoute: false,
        config: { access: 'public' },
        schema: { hide: true },
        handler: (_request, reply) =>
          reply.from('', {
            // The page's origin is ours: the decider compares it with the host that the browser asked.
            rewriteRequestHeaders: (request, headers) => ({ ...headers, host: request.headers.host }),
            onError: (failed) => {
              failed.send(new CountersignError('decider_unavailable', 'The decider does not answer.'))
            },
          }),
      })
  }
