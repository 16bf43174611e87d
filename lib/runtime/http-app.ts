import { randomFillSync } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import cookie from '@fastify/cookie'
import { Ajv } from 'ajv'
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { CountersignError, ERRORS, type ErrorCode, type ProblemDetails, problem } from '../core/errors.ts'
import { parseStrictJson } from '../core/strict-json.ts'
import type { Identity } from '../ports/identity.ts'
import { access } from './access.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { openApi } from './open-api.ts'
import { endAfterAnswer, UpgradePaths } from './upgrades.ts'

const MAX_BODY_BYTES = 1024 * 1024
/** Room for the excluded ids of a long-poll. */
const MAX_HEADER_BYTES = 32 * 1024
const CLOSE_WITHIN_MS = 5_000

/** Answers are data: nothing in them is run, framed, guessed at or kept. Pages set their own. */
const API_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** On the raw response, where helmet writes as well: a page's own policy then replaces this one. */
export function setApiHeaders({ raw }: FastifyReply): void {
  for (const [name, value] of Object.entries(API_HEADERS)) raw.setHeader(name, value)
}

/** The HTTP face that services add their routes to: identity, strict bodies, problem details, metrics, headers. */
export async function createHttpApp(deps: {
  identity: Identity
  log: Logger
  metrics: Metrics
}): Promise<FastifyInstance> {
  const { identity, log, metrics } = deps
  const upgrades = new UpgradePaths()
  const app: FastifyInstance = fastify({
    loggerInstance: log.child({ part: 'http' }, { level: log.level === 'info' ? 'warn' : log.level }),
    // What fails says its trace id; only a log that tells of every request needs a logger for each.
    childLoggerFactory: (logger, bindings, options) =>
      log.isLevelEnabled('debug') ? logger.child(bindings, options) : logger,
    genReqId: ({ headers }) => traceIdOf(headers.traceparent) ?? newTraceId(),
    bodyLimit: MAX_BODY_BYTES,
    http: { maxHeaderSize: MAX_HEADER_BYTES, IncomingMessage: upgrades.message },
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply),
  }) as unknown as FastifyInstance
  closeWithoutWaiting(app)
  app.decorate('takeUpgrades', (path) => upgrades.add(path))

  // Bodies are judged as sent: nothing is coerced, filled in or dropped.
  const ajv = new Ajv({ allErrors: true, strict: false })
  app.setValidatorCompiler(({ schema }) => ajv.compile(schema as object))
  app.setSerializerCompiler(() => JSON.stringify)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    parseStrictJson(decodeUtf8(body)),
  )

  app.setErrorHandler<FastifyError | CountersignError>((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(new CountersignError('not_found', 'There is nothing at this path.'), request, reply),
  )
  app.addHook('onRequest', (request, reply, done) => {
    endAfterAnswer(request, reply)
    if (!request.routeOptions.config.passesOn) setApiHeaders(reply)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none'
    metrics.httpSeconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
    done()
  })

  await app.register(cookie)
  await app.register(access, { identity })
  await app.register(openApi)
  return app
}

/**
 * A connection that has said nothing yet is busy to Node: `close` would wait for it as long as its peer likes. It is cut
 * at once; what is still being answered has a few seconds more. Nor does Node know of those that became WebSockets.
 */
function closeWithoutWaiting(app: FastifyInstance): void {
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  app.addHook('preClose', async () => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, CLOSE_WITHIN_MS).unref()
  })
}

/** A body that is not valid UTF-8 is refused: replacing its bad bytes would make another body of it. */
export function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw new CountersignError('invalid_body', 'The body is not UTF-8.')
  }
}

const TRACE_ID_BYTES = 16
const random = Buffer.alloc(TRACE_ID_BYTES * 256)
let used = random.length

/** 128 random bits in hex; taken from many at once, because the system gives a few as slowly as many. */
function newTraceId(): string {
  if (used === random.length) {
    randomFillSync(random)
    used = 0
  }
  used += TRACE_ID_BYTES
  return random.toString('hex', used - TRACE_ID_BYTES, used)
}

/** The trace id of a `traceparent` header (W3C Trace Context), if it is a valid one. */
const traceIdOf = (header: string | string[] | undefined): string | undefined =>
  typeof header === 'string'
    ? /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(header)?.[1]
    : undefined

/** Answers with problem details (RFC 9457). Server faults say their code and trace id alone; the log says the rest. */
function sendProblem(
  error: FastifyError | CountersignError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  endAfterAnswer(request, reply)
  const { code, details } = asProblem(error)
  const audience = request.routeOptions?.config?.audience ?? 'approver'
  const traceId = request.id
  const isFault = code === 'internal_error'
  if (isFault) request.log.error({ err: error, traceId }, 'request failed')
  const body = problem(code, isFault ? {} : details, audience, traceId)
  if (request.routeOptions?.config?.passesOn) setApiHeaders(reply)
  if (details.retryAfter !== undefined) reply.header('retry-after', details.retryAfter)
  else if (ERRORS[code].retryable && body.status >= 429) reply.header('retry-after', 1)
  if (code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  if (code === 'shutting_down') reply.header('connection', 'close')
  if (audience === 'agent' && body.status === 403) reply.header('countersign-retry', String(ERRORS[code].retryable))
  if (details.approvalId !== undefined) reply.header('countersign-approval', details.approvalId)
  return reply.code(body.status).type('application/problem+json').send(JSON.stringify(body))
}

const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_body',
}

/** The code of any error, and what may be told of it. */
export function asProblem(error: FastifyError | CountersignError): { code: ErrorCode; details: ProblemDetails } {
  if (error instanceof CountersignError) return error
  if (error.validation) {
    const code = error.validationContext === 'body' ? 'invalid_body' : 'invalid_request'
    const errors = error.validation.map(({ instancePath, message, keyword, params }) => {
      const extra = keyword === 'additionalProperties' ? ` (${String(params.additionalProperty).slice(0, 80)})` : ''
      return { path: instancePath.slice(1).replaceAll('/', '.'), message: `${message ?? 'is not valid'}${extra}` }
    })
    return { code, details: { detail: summarise(errors, code === 'invalid_body' ? 'The body' : 'The query'), errors } }
  }
  const known = FASTIFY_CODES[error.code]
  if (known === 'unsupported_media_type') return { code: known, details: { detail: 'Send application/json.' } }
  if (known) return { code: known, details: { detail: error.message } }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return { code: 'invalid_request', details: { detail: STATUS_CODES[error.statusCode] ?? 'Bad request' } }
  return { code: 'internal_error', details: {} }
}

const summarise = (errors: { path: string; message: string }[], whole: string): string =>
  errors
    .slice(0, 3)
    .map(({ path, message }) => (path === '' ? `${whole} ${message}.` : `${path} ${message}.`))
    .join(' ')
