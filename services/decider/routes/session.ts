import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import { ANYBODY, PEOPLE, principalOf, SESSION_COOKIE } from '../../../lib/runtime/access.ts'
import { type Directory, SESSION_MS } from '../../../lib/runtime/directory.ts'
import { answers } from '../../../lib/runtime/schemas.ts'

const Who = Type.Object({
  id: Type.String(),
  name: Type.String(),
  tenant: Type.String(),
  role: Type.String(),
  groups: Type.Array(Type.String()),
})

/** Sign in to the page: a one-time code or a token for an HttpOnly, SameSite=Strict session cookie. */
export const sessionRoutes: FastifyPluginAsyncTypebox<{ directory: Directory }> = async (app, { directory }) => {
  app.post(
    '/v1/session',
    {
      config: { access: 'public' },
      bodyLimit: 4096,
      schema: {
        summary: 'Sign in with a one-time code or a token',
        security: [],
        tags: ['session'],
        body: Type.Object(
          {
            code: Type.Optional(Type.String({ minLength: 8, maxLength: 256 })),
            token: Type.Optional(Type.String({ minLength: 8, maxLength: 256 })),
          },
          { additionalProperties: false, minProperties: 1, maxProperties: 1 },
        ),
        response: answers({ 200: Who }),
      },
    },
    async (request, reply) => {
      const { code, token } = request.body
      const principal =
        code === undefined ? await directory.ofSecret(token ?? '') : await directory.redeemLoginCode(code)
      if (!principal)
        throw new CountersignError(
          'unauthenticated',
          code === undefined ? 'The token is unknown or was revoked.' : 'The link was used already or is too old.',
        )
      if (!PEOPLE.some((role) => role === principal.role))
        throw new CountersignError('forbidden', `The page is for people; this key has the role ${principal.role}.`)
      reply.setCookie(SESSION_COOKIE, await directory.openSession(principal), {
        httpOnly: true,
        sameSite: 'strict',
        secure: request.protocol === 'https',
        path: '/',
        maxAge: SESSION_MS / 1000,
      })
      return whoIs(principal)
    },
  )

  app.get(
    '/v1/session',
    {
      config: { access: ANYBODY },
      schema: { summary: 'Who am I', tags: ['session'], response: answers({ 200: Who }) },
    },
    async (request) => whoIs(principalOf(request)),
  )

  app.delete(
    '/v1/session',
    {
      config: { access: PEOPLE },
      schema: { summary: 'Sign out', tags: ['session'], response: answers({ 204: Type.Null() }) },
    },
    async (request, reply) => {
      const sessionId = request.cookies[SESSION_COOKIE]
      if (sessionId !== undefined) await directory.closeSession(sessionId)
      reply.clearCookie(SESSION_COOKIE, { httpOnly: true, sameSite: 'strict', path: '/' }).code(204)
    },
  )
}

const whoIs = ({ id, name, tenant, role, groups }: Principal) => ({ id, name, tenant, role, groups: [...groups] })
