import { isJsonObject, type Json, type JsonObject } from '../../core/canonical-json.ts'
import type { Clock } from '../../ports/clock.ts'
import type { McpReply } from '../../ports/mcp-upstream.ts'
import { Channel } from './channel.ts'
import { type Child, type ChildSettings, isRequest, isResponse, keyOf, type McpLog, startChild } from './child.ts'
import { MAX_WAITING_BYTES } from './limits.ts'

/** A process that dies sooner than this after its start counts as failing. */
const STABLE_MS = 10_000
const FIRST_BACKOFF_MS = 250
const LONGEST_BACKOFF_MS = 30_000
/** A call does not wait longer than this for a process that keeps failing. */
const PATIENCE_MS = 5_000
const HANDSHAKE_WITHIN_MS = 15_000
/** What the server says while nobody listens, in messages. */
const MAX_BACKLOG = 256

/**
 * One client's session with a server that speaks over stdin and stdout, in a process of its own. When the process dies,
 * what it was working on is lost, and the next message starts it again: the handshake is replayed, so that the client
 * goes on as before.
 */
export class StdioSession {
  readonly id: string
  /** Whose it is. */
  readonly agent: string
  readonly #room: Promise<unknown>
  readonly #settings: ChildSettings
  readonly #clock: Clock
  readonly #log: McpLog
  #child: Child | undefined
  #starting: Promise<void> | undefined
  #startedAt = 0
  #endedAt = 0
  #failures = 0
  #lives = 0
  #closed = false
  /** The client's `initialize`, replayed to every later process. */
  #initialize: JsonObject | undefined
  #initialized = false
  readonly #pending = new Map<string, { channel: Channel; token: string | undefined }>()
  #listener: Channel | undefined
  #backlog: string[] = []
  #backlogBytes = 0
  lastUsedAt: number

  /** `room` resolves when its process may start. */
  constructor(deps: {
    id: string
    agent: string
    room?: Promise<unknown>
    settings: ChildSettings
    clock: Clock
    log: McpLog
  }) {
    this.id = deps.id
    this.agent = deps.agent
    this.#room = deps.room ?? Promise.resolve()
    this.#settings = deps.settings
    this.#clock = deps.clock
    this.#log = deps.log
    this.lastUsedAt = deps.clock.now()
  }

  /** Nobody waits for an answer, and nobody listens. */
  get isIdle(): boolean {
    return this.#rests && this.#listener === undefined
  }

  /** Its process has ended, and nothing has started it again. */
  get isDead(): boolean {
    return this.#rests && this.#child === undefined
  }

  get #rests(): boolean {
    return this.#pending.size === 0 && this.#starting === undefined
  }

  /** Sends a message of the client. */
  async post(message: JsonObject, signal: AbortSignal): Promise<McpReply> {
    this.lastUsedAt = this.#clock.now()
    const isHandshake = message.method === 'initialize'
    if (isHandshake && this.#initialize) return refused(400, 'This session is initialized already.')
    const key = keyOf(message.id)
    if (isRequest(message) && this.#pending.has(key)) return refused(400, 'A request with this id is under way.')
    try {
      await this.#ready(isHandshake)
    } catch (error) {
      return { type: 'unreached', detail: error instanceof Error ? error.message : 'it cannot be started' }
    }
    const child = this.#child
    if (!child || signal.aborted) return { type: 'unreached', detail: 'it ended before the message was sent' }
    if (isHandshake) this.#initialize = message
    if (message.method === 'notifications/initialized') this.#initialized = true
    if (!isRequest(message)) {
      if (message.method === 'notifications/cancelled') this.#giveUp(message)
      return sent(child, message, signal).then(() => ({ type: 'accepted', session: this.id }), lost)
    }
    const channel = openChannel(signal, () => this.#forget(key, channel))
    this.#pending.set(key, { channel, token: tokenOf(message) })
    try {
      await sent(child, message, signal)
    } catch (error) {
      this.#forget(key, channel)
      return lost(error)
    }
    return { type: 'messages', session: this.id, streamed: true, events: channel }
  }

  /** What the server says that answers no request. Who listens last is told: an older connection may be dead already. */
  listen(signal: AbortSignal): McpReply {
    this.#listener?.end()
    this.lastUsedAt = this.#clock.now()
    const channel = openChannel(signal, () => {
      if (this.#listener === channel) this.#listener = undefined
      this.lastUsedAt = this.#clock.now()
    })
    this.#listener = channel
    for (const data of this.#backlog) channel.put(data)
    this.#backlog = []
    this.#backlogBytes = 0
    return { type: 'messages', session: this.id, streamed: true, events: channel }
  }

  async close(): Promise<void> {
    this.#closed = true
    const gone = new Error('the session was closed')
    for (const { channel } of this.#pending.values()) channel.end(gone)
    this.#listener?.end()
    await this.#starting?.catch(() => {})
    await this.#child?.close()
  }

  /** There is a process, and it has had its handshake unless that is what comes now. */
  #ready(isHandshake: boolean): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('the session was closed'))
    // A process that is on its way has not had its handshake yet.
    if (this.#starting) return this.#starting
    if (this.#child) return Promise.resolve()
    this.#starting = this.#start(isHandshake).finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(isHandshake: boolean): Promise<void> {
    await this.#room
    const backoff =
      this.#failures === 0 ? 0 : Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.#failures - 1))
    const wait = this.#endedAt + backoff - this.#clock.now()
    if (wait > PATIENCE_MS) throw new Error(`it keeps ending; it is started again in ${Math.ceil(wait / 1000)} s`)
    if (wait > 0) await new Promise<void>((resolve) => this.#clock.after(wait, resolve))
    if (this.#closed) throw new Error('the session was closed')
    const life = ++this.#lives
    this.#startedAt = this.#clock.now()
    let ended = false
    const onEnd = () => {
      if (ended) return
      ended = true
      this.#ended()
    }
    try {
      const child = await startChild(this.#settings, {
        log: this.#log,
        onMessage: (message) => this.#heard(message),
        onEnd,
      })
      if (ended) throw new Error('its process ended at once')
      this.#child = child
      if (!isHandshake && this.#initialize) await this.#replay(child, this.#initialize, life)
    } catch (error) {
      const child = this.#child
      onEnd()
      await child?.close()
      throw new Error(`it cannot be started (${codeOf(error)})`, { cause: error })
    }
  }

  async #replay(child: Child, initialize: JsonObject, life: number): Promise<void> {
    const id = `countersign-${life}`
    const channel = new Channel(() => this.#forget(keyOf(id), channel))
    this.#pending.set(keyOf(id), { channel, token: undefined })
    const late = new AbortController()
    const cancel = this.#clock.after(HANDSHAKE_WITHIN_MS, () => {
      late.abort()
      channel.end(new Error('no answer to initialize'))
    })
    try {
      await sent(child, { ...initialize, id }, late.signal)
      let answered = false
      for await (const { data } of channel) answered ||= 'result' in (JSON.parse(data) as JsonObject)
      if (!answered) throw new Error('no answer to initialize')
      if (this.#initialized) await sent(child, { jsonrpc: '2.0', method: 'notifications/initialized' }, late.signal)
      this.#log.info({ server: this.#settings.name }, 'an MCP server was started again')
    } finally {
      cancel()
    }
  }

  #ended(): void {
    const now = this.#clock.now()
    this.#failures = now - this.#startedAt >= STABLE_MS ? 0 : this.#failures + 1
    this.#endedAt = now
    this.#child = undefined
    if (this.#closed) return
    this.#log.warn({ server: this.#settings.name, failures: this.#failures }, 'the process of an MCP server ended')
    const gone = new Error('its process ended')
    for (const { channel } of this.#pending.values()) channel.end(gone)
    this.#pending.clear()
  }

  #heard(message: JsonObject): void {
    const data = JSON.stringify(message)
    if (isResponse(message)) {
      const waiting = this.#pending.get(keyOf(message.id))
      this.#pending.delete(keyOf(message.id))
      this.lastUsedAt = this.#clock.now()
      waiting?.channel.put(data)
      waiting?.channel.end()
      return
    }
    const related = this.#relatedTo(message) ?? this.#listener ?? this.#newest()
    if (related) related.put(data)
    else if (!this.#keep(data) && isRequest(message)) this.#answerForNobody(message)
  }

  /** For who listens later; false when there is no room for it. */
  #keep(data: string): boolean {
    const bytes = this.#backlogBytes + Buffer.byteLength(data)
    if (this.#backlog.length >= MAX_BACKLOG || bytes > MAX_WAITING_BYTES) return false
    this.#backlog.push(data)
    this.#backlogBytes = bytes
    return true
  }

  /** The stream of the request whose progress this tells. */
  #relatedTo({ method, params }: JsonObject): Channel | undefined {
    if (method !== 'notifications/progress' || !isJsonObject(params)) return undefined
    const token = keyOf(params.progressToken)
    return [...this.#pending.values()].find((each) => each.token === token)?.channel
  }

  #newest(): Channel | undefined {
    return [...this.#pending.values()].at(-1)?.channel
  }

  /** A server that asks its client, and nobody is there, must not wait for ever. */
  #answerForNobody({ id }: JsonObject): void {
    const error = { code: -32603, message: 'The client does not listen.' }
    this.#child?.send({ jsonrpc: '2.0', id: id as Json, error }).catch(() => {})
  }

  /** No answer comes to what the client has taken back. */
  #giveUp({ params }: JsonObject): void {
    const key = keyOf(isJsonObject(params) ? params.requestId : undefined)
    this.#pending.get(key)?.channel.end()
    this.#pending.delete(key)
  }

  #forget(key: string, channel: Channel): void {
    this.lastUsedAt = this.#clock.now()
    if (this.#pending.get(key)?.channel === channel) this.#pending.delete(key)
  }
}

/** A channel that ends with its exchange. */
function openChannel(signal: AbortSignal, onLeave: () => void): Channel {
  const end = () => {
    channel.end()
    onLeave()
  }
  const channel = new Channel(() => {
    signal.removeEventListener('abort', end)
    onLeave()
  })
  signal.addEventListener('abort', end, { once: true })
  return channel
}

/** Rejects when the process ends, or the signal says so, before the message is written. */
async function sent(child: Child, message: JsonObject, signal: AbortSignal): Promise<void> {
  let end = () => {}
  const ended = new Promise<never>((_, reject) => {
    end = () => reject(new Error('the exchange was ended while the message was written'))
  })
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    await Promise.race([child.send(message), ended])
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** A part of the message may be there. */
const lost = (error: unknown): McpReply => ({
  type: 'lost',
  detail: error instanceof Error && !('code' in error) ? error.message : 'its process ended',
})

function tokenOf({ params }: JsonObject): string | undefined {
  const meta = isJsonObject(params) ? params._meta : undefined
  return isJsonObject(meta) && meta.progressToken !== undefined ? keyOf(meta.progressToken) : undefined
}

export const refused = (status: number, message: string): McpReply => ({
  type: 'refused',
  status,
  body: JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32600, message } }),
})

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
