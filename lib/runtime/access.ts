import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { type Audience, CountersignError } from '../core/errors.ts'
import type { Identity, Principal } from '../ports/identity.ts'
import type { Role } from '../ports/key-store.ts'
import { agentSecretOf, bearerOf } from './agent-key.ts'

export const SESSION_COOKIE = 'countersign_session'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null on public routes alone. */
    principal: Principal | null
    /** What proved the agent on a route that passes on; it goes no further. */
    agentSecret: string | null
  }
  interface FastifyContextConfig {
    /** Who may call the route. A route that says nothing is open to nobody. */
    access?: 'public' | readonly Role[]
    /** The body is read before the caller is known: even the answer to a stranger depends on it. */
    bodyFirst?: boolean
    /** The call goes on to somewhere else: its answer is that of the place, and so may `Authorization` be. */
    passesOn?: boolean
    /** Whom the route's errors speak to. */
    audience?: Audience
  }
}

export const PEOPLE = ['approver', 'admin', 'observer'] as const satisfies Role[]
export const DECIDERS = ['approver', 'admin'] as const satisfies Role[]
export const ANYBODY = ['agent', 'approver', 'admin', 'observer', 'service'] as const satisfies Role[]

/** The caller of a route that is not public. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new CountersignError('unauthenticated')
  return request.principal
}

/**
 * Identity on every route, before the body is read or judged: 401 without a known credential, 403 without the role.
 * A browser's cookie counts for reading, and for writing only from our own origin.
 */
export const access = fastifyPlugin<{ identity: Identity }>(
  async (app, { identity }) => {
    app.decorateRequest('principal', null)
    app.decorateRequest('agentSecret', null)
    const identify = async (request: FastifyRequest) => {
      const { access: allowed, passesOn } = request.routeOptions.config
      if (allowed === 'public' || request.is404) return
      const principal = await (passesOn ? agentOf(request, identity) : authenticate(request, identity))
      if (!principal) throw new CountersignError('unauthenticated', unauthenticatedDetail(request))
      if (!allowed?.includes(principal.role))
        throw new CountersignError('forbidden', `The role ${principal.role} may not do that.`)
      request.principal = principal
    }
    const isBodyFirst = ({ routeOptions: { config } }: FastifyRequest) => config.bodyFirst === true
    app.addHook('onRequest', (request) => (isBodyFirst(request) ? Promise.resolve() : identify(request)))
    app.addHook('preValidation', (request) => (isBodyFirst(request) ? identify(request) : Promise.resolve()))
  },
  { name: 'access', dependencies: ['@fastify/cookie'] },
)

/** The agent whose call goes on to somewhere else; its secret stands in `agentSecret`. */
function agentOf(request: FastifyRequest, identity: Identity): Promise<Principal | undefined> | undefined {
  request.agentSecret = agentSecretOf(request.raw.headers) ?? null
  return request.agentSecret === null ? undefined : identity.ofSecret(request.agentSecret)
}

/** The owner of the request's credential, looked up now; undefined when there is none that is known. */
export async function authenticate(request: FastifyRequest, identity: Identity): Promise<Principal | undefined> {
  const { authorization } = request.headers
  if (authorization !== undefined) {
    const secret = bearerOf(authorization)
    return secret === undefined ? undefined : identity.ofSecret(secret)
  }
  const sessionId = request.cookies[SESSION_COOKIE]
  if (sessionId === undefined) return undefined
  if (isFromElsewhere(request)) throw new CountersignError('forbidden', 'The request comes from another origin.')
  return identity.ofSession(sessionId)
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

/** A cookie travels by itself, so what changes something (or opens a stream) must come from our own page. */
function isFromElsewhere({ method, headers }: FastifyRequest): boolean {
  if (SAFE.has(method) && headers.upgrade === undefined) return false
  if (headers.origin === undefined)
    return headers['sec-fetch-site'] !== undefined && headers['sec-fetch-site'] !== 'same-origin'
  return URL.canParse(headers.origin) ? new URL(headers.origin).host !== headers.host : true
}

const unauthenticatedDetail = (request: FastifyRequest): string =>
  request.headers.authorization === undefined
    ? 'Send `Authorization: Bearer <key>`.'
    : 'The key is unknown or was revoked.'
