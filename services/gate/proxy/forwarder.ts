import type { IncomingMessage, ServerResponse } from 'node:http'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import type { Target } from '../../../lib/core/policy/target.ts'
import type { Upstream } from '../../../lib/runtime/config/upstreams.ts'
import { hasLeft, whenClosed } from '../../../lib/runtime/disconnect.ts'
import { writable, writeAnswerHead } from './answer-head.ts'
import { withoutContinues } from './continues.ts'
import { failureWords } from './failure.ts'
import { type HeaderList, headersToAnswer } from './headers.ts'

/** A call that may go. */
export interface Outgoing {
  upstream: Upstream
  method: string
  target: Target
  /** With what the gate adds. */
  headers: HeaderList
  /** Bytes go with their length, what is iterated chunk by chunk. */
  body: Buffer | AsyncIterable<Buffer> | null
  /** Null where nobody had to be asked. */
  approvalId: string | null
}

/** What became of a call. */
export type Forwarded =
  /** The upstream answers; its answer is on its way to the agent. */
  | { type: 'answered'; status: number }
  /** Not a byte was sent. */
  | { type: 'unreachable'; why: string }
  /** It was sent, in part at least, and there is no answer. */
  | { type: 'failed'; why: string }

const MAX_ANSWER_HEADERS = 64 * 1024

/** Answers that say of a call that it goes on; more of them than this are none. */
const MAX_INFORMATIONAL = 100

const AGENT_LEFT = new Error('the agent left')

/**
 * Sends calls to upstreams over HTTP/1.1 and streams their answers back, at the pace of whoever is slower. A call is
 * sent once: nothing here tries again.
 */
export class Forwarder {
  readonly #pools = new Map<string, { shared: Pool; fresh: Pool }>()

  constructor(upstreams: Iterable<Upstream>) {
    for (const { name, base, connectTimeoutMs: timeout, answerTimeoutMs, idleTimeoutMs } of upstreams) {
      const settings = {
        connect: connector(timeout),
        headersTimeout: answerTimeoutMs,
        bodyTimeout: idleTimeoutMs,
        maxHeaderSize: MAX_ANSWER_HEADERS,
      }
      this.#pools.set(name, {
        shared: new Pool(originOf(base), settings),
        // A connection that was idle may be closing at the other end: an approval's one use gets one of its own.
        fresh: new Pool(originOf(base), { ...settings, pipelining: 0 }),
      })
    }
  }

  /** Resolves when the upstream begins to answer, or when it is known that it will not. Never rejects. */
  forward(outgoing: Outgoing, request: IncomingMessage, response: ServerResponse): Promise<Forwarded> {
    const { upstream, target, method, headers, body, approvalId } = outgoing
    const pools = this.#pools.get(upstream.name)
    const pool = approvalId === null ? pools?.shared : pools?.fresh
    if (!pool) throw new Error(`no connections for the upstream ${upstream.name}`)
    return new Promise((resolve) => {
      const relay = new Relay({ request, response, approvalId, resolve })
      try {
        pool.dispatch(
          {
            path: pathOf(target),
            method: method as Dispatcher.HttpMethod,
            headers,
            // undici takes what can be iterated, though its types do not say so.
            body: body as Buffer | null,
          },
          relay,
        )
      } catch (error) {
        relay.onResponseError(undefined, error as Error)
      }
    })
  }

  /** Cuts what is still under way. */
  async close(): Promise<void> {
    const all = [...this.#pools.values()].flatMap(({ shared, fresh }) => [shared, fresh])
    await Promise.all(all.map((pool) => pool.destroy()))
  }
}

function connector(timeout: number): buildConnector.connector {
  // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
  const connect = buildConnector({ timeout, rejectUnauthorized: true })
  return (options, callback) =>
    connect(options, (...[error, socket]) =>
      error === null ? callback(null, withoutContinues(socket)) : callback(error, null),
    )
}

const originOf = ({ scheme, host, port }: Target): string => `${scheme}://${host}:${port}`
export const pathOf = ({ path, query }: Target): string => (query === null ? path : `${path}?${query}`)

/** Takes an upstream's answer to the agent. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #approvalId: string | null
  readonly #resolve: (forwarded: Forwarded) => void
  #stayed = () => {}
  #isSent = false
  #informational = 0
  #isAnswered = false

  constructor(deps: {
    request: IncomingMessage
    response: ServerResponse
    approvalId: string | null
    resolve: (forwarded: Forwarded) => void
  }) {
    this.#request = deps.request
    this.#response = deps.response
    this.#approvalId = deps.approvalId
    this.#resolve = deps.resolve
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (hasLeft(this.#request, this.#response)) {
      controller.abort(AGENT_LEFT)
      return
    }
    this.#isSent = true
    this.#stayed = whenClosed(this.#request.socket, () => controller.abort(AGENT_LEFT))
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    message: string | undefined,
  ): void {
    const response = this.#response
    const list = headersToAnswer((controller.rawHeaders ?? []) as (Buffer | string)[], {
      approvalId: this.#approvalId,
      trailers: this.#takesTrailers,
    })
    if (status >= 100 && status < 200) {
      if (++this.#informational > MAX_INFORMATIONAL) throw new Error('this call goes on for ever')
      if (status === 103) passHints(response, list)
      return
    }
    writeAnswerHead(response, { status, phrase: message, list })
    this.#isAnswered = true
    // What comes with the head goes with it; what does not must not keep it back.
    process.nextTick(flushHead, response)
    this.#resolve({ type: 'answered', status })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return
    controller.pause()
    this.#response.once('drain', () => controller.resume())
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    const trailers = (controller.rawTrailers ?? []) as (Buffer | string)[]
    if (trailers.length > 0 && this.#takesTrailers) addTrailers(this.#response, trailers)
    this.#stayed()
    this.#response.end()
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#stayed()
    if (this.#isAnswered) {
      // The agent must not take a part for the whole.
      this.#response.destroy()
      return
    }
    const why = hasLeft(this.#request, this.#response) ? AGENT_LEFT.message : failureWords(error)
    this.#resolve({ type: this.#isSent ? 'failed' : 'unreachable', why })
  }

  /** Trailers go with chunks alone, which HTTP/1.0 and answers without a body do not have. */
  get #takesTrailers(): boolean {
    return this.#request.httpVersionMinor > 0 && this.#request.method !== 'HEAD'
  }
}

function flushHead(response: ServerResponse): void {
  if (!response.writableEnded) response.flushHeaders()
}

/** Early hints (RFC 8297) are of no weight: those that Node does not take are left out. */
function passHints(response: ServerResponse, list: HeaderList): void {
  const link: string[] = []
  for (let at = 0; at < list.length; at += 2) if (list[at]?.toLowerCase() === 'link') link.push(list[at + 1] ?? '')
  try {
    if (link.length > 0) response.writeEarlyHints({ link })
  } catch {
    // The answer itself is still to come.
  }
}

function addTrailers(response: ServerResponse, raw: readonly (Buffer | string)[]): void {
  const pairs: [string, string][] = []
  const list = writable(headersToAnswer(raw, { approvalId: null, trailers: false }))
  for (let at = 0; at < list.length; at += 2) pairs.push([list[at] ?? '', list[at + 1] ?? ''])
  response.addTrailers(pairs)
}
