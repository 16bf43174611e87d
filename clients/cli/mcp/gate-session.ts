import { type JSONRPCMessage, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { HookTarget } from '../hook/target.ts'
import { type GateFailure, gateFailure } from './gate-failure.ts'

type Message = JSONRPCMessage
type Id = string | number

/** The stream of what the server says by itself is looked for again for as long as the client is there. */
const RECONNECTION = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: Number.MAX_SAFE_INTEGER,
}

/**
 * The client's session at the gate. Each request is sent once and gets one answer: the server's, the gate's, or an error
 * that says why there is none. A session that the gate has lost is begun anew with the client's own `initialize`: what it
 * refused for that reason was not forwarded, and is sent again.
 */
export class GateSession {
  readonly #target: HookTarget
  readonly #server: string
  readonly #version: string
  /** To the client. */
  readonly #tell: (message: Message) => void
  readonly #log: (line: string) => void
  #transport: StreamableHTTPClientTransport
  readonly #waiting = new Set<Id>()
  #initialize: Message | undefined
  #isInitialized = false
  #renewing: Promise<void> | undefined
  #renewals = 0
  #lastSaid = ''

  constructor(deps: {
    target: HookTarget
    server: string
    version: string
    tell: (message: Message) => void
    log: (line: string) => void
  }) {
    this.#target = deps.target
    this.#server = deps.server
    this.#version = deps.version
    this.#tell = deps.tell
    this.#log = deps.log
    this.#transport = this.#connect((message) => this.#heard(message))
  }

  /** Requests that have no answer yet. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Resolves when the gate has the message; never rejects. */
  async send(message: Message): Promise<void> {
    const id = requestId(message)
    if (id !== undefined) this.#waiting.add(id)
    if (isMethod(message, 'initialize')) this.#initialize = message
    if (isMethod(message, 'notifications/initialized')) this.#isInitialized = true
    const transport = this.#transport
    try {
      await this.#post(transport, message)
    } catch (error) {
      const failure = gateFailure(error, this.#target.url)
      if (!failure.isSessionLost || transport.sessionId === undefined || !this.#initialize)
        return this.#fail(id, failure)
      try {
        await this.#renew(transport, this.#initialize)
        await this.#post(this.#transport, message)
      } catch (again) {
        this.#fail(id, gateFailure(again, this.#target.url))
      }
    }
  }

  /** Ends the session at the gate, if it can be reached. */
  async close(): Promise<void> {
    await this.#transport.terminateSession().catch(() => {})
    await this.#transport.close()
  }

  async #post(transport: StreamableHTTPClientTransport, message: Message): Promise<void> {
    const id = requestId(message)
    await transport.send(message, {
      onRequestStreamEnd: () =>
        this.#fail(id, {
          message: 'The gate ended before it had answered; what was asked may have run.',
          code: -32002,
        }),
    })
  }

  #connect(heard: (message: Message, transport: StreamableHTTPClientTransport) => void): StreamableHTTPClientTransport {
    const { url, key, autonomy } = this.#target
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp/${encodeURIComponent(this.#server)}`), {
      requestInit: {
        headers: {
          authorization: `Bearer ${key}`,
          'user-agent': `countersign-cli/${this.#version}`,
          ...(autonomy === null ? {} : { 'countersign-autonomy': autonomy }),
        },
        redirect: 'error',
      },
      reconnectionOptions: RECONNECTION,
    })
    transport.onmessage = (message) => heard(message, transport)
    transport.onerror = (error) => this.#say(gateFailure(error, url).message)
    void transport.start()
    return transport
  }

  #heard(message: Message): void {
    if (!('method' in message)) {
      const { id } = message
      if (id === undefined || !this.#waiting.delete(id)) return
      if (this.#initialize && id === requestId(this.#initialize)) this.#agreeOn(this.#transport, message)
    }
    this.#tell(message)
  }

  /** Every later message names the revision that the server chose. */
  #agreeOn(transport: StreamableHTTPClientTransport, answer: Message): void {
    const version = 'result' in answer ? answer.result.protocolVersion : undefined
    if (typeof version === 'string') transport.setProtocolVersion(version)
  }

  /** Several messages may find the session lost at once: it is begun anew once. */
  async #renew(lost: StreamableHTTPClientTransport, initialize: Message): Promise<void> {
    if (this.#transport !== lost) return
    this.#renewing ??= this.#begin(lost, initialize).finally(() => {
      this.#renewing = undefined
    })
    await this.#renewing
  }

  async #begin(lost: StreamableHTTPClientTransport, initialize: Message): Promise<void> {
    const id = `countersign-${++this.#renewals}`
    let transport = lost
    const answer = await new Promise<Message>((resolve, reject) => {
      transport = this.#connect((message) => {
        if (!('method' in message) && message.id === id) resolve(message)
        else this.#heard(message)
      })
      const ended = () => reject(new Error('The gate ended before it had begun a new session.'))
      transport.send({ ...initialize, id } as Message, { onRequestStreamEnd: ended }).catch(reject)
    })
    if ('error' in answer) throw new Error(answer.error.message)
    this.#agreeOn(transport, answer)
    this.#transport = transport
    await lost.close()
    if (this.#isInitialized) await transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
    this.#log('The gate had lost the session; a new one was begun.')
  }

  #fail(id: Id | undefined, { message, code, data }: Omit<GateFailure, 'isSessionLost'>): void {
    if (id === undefined) this.#say(message)
    else if (this.#waiting.delete(id))
      this.#tell({ jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } })
  }

  /** What goes wrong again and again is said once. */
  #say(line: string): void {
    if (line !== this.#lastSaid) this.#log(line)
    this.#lastSaid = line
  }
}

const isMethod = (message: Message, method: string): boolean => 'method' in message && message.method === method

const requestId = (message: Message): Id | undefined =>
  'method' in message && 'id' in message ? message.id : undefined
