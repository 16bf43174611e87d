import { createHmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { messageFaults, viewFaults } from './slack-blocks.ts'

export const BOT_TOKEN = 'xoxb-test-bot-token'
export const APP_TOKEN = 'xapp-test-app-token'
export const SIGNING_SECRET = 'test-signing-secret-of-slack'
export const TEAM = 'T0TEAM'

/** The channels of the workspace, by name. */
export const CHANNELS: Readonly<Record<string, string>> = { '#approvals': 'C0APPROVALS', '#finance': 'C0FINANCE' }
const PRIVATE = new Set(['C0FINANCE'])
export const APP = 'A0'

type Json = Record<string, unknown>

export interface SlackMessageSeen {
  channel: string
  ts: string
  text: string
  blocks: Json[]
  thread: string | undefined
  metadata: Json | undefined
  /** How often it was rewritten. */
  updates: number
}

export interface SlackCall {
  method: string
  args: Json
  at: number
}

type Fault =
  | { error: string }
  | { retryAfter: number }
  | { status: number }
  /** Nothing is done, and nothing answered. */
  | { hang: true }
  /** It is done; the connection breaks before the answer. */
  | { lost: true }
  /** It is done, and never answered. */
  | { silent: true }

/** A Slack workspace on loopback: its Web API, Socket Mode, and people who click. */
export class SlackServer {
  readonly url: string
  readonly calls: SlackCall[] = []
  readonly messages: SlackMessageSeen[] = []
  readonly whispers: { channel: string; user: string; text: string }[] = []
  readonly views: Json[] = []
  readonly users = new Map<string, Json>()
  readonly sockets = new Set<WebSocket>()
  /** How many times Socket Mode was connected. */
  connections = 0
  /** Whether the token may read the history of channels. */
  mayReadHistory = true
  /** The types of channels that the token may list. */
  readonly mayList = new Set(['public_channel', 'private_channel'])
  /** The most that a page of a list holds. */
  pageSize = 1_000
  readonly #faults = new Map<string, Fault[]>()
  readonly #triggers = new Map<string, number>()
  readonly #acks = new Map<string, (payload: unknown) => void>()
  readonly #waiting = new Set<() => void>()
  #lastTs = 1_700_000_000

  constructor(url: string) {
    this.url = url
  }

  /** What countersign.yaml has as `slack.apiUrl`. */
  get apiUrl(): string {
    return `${this.url}/api/`
  }

  /** The next calls of this method fail so, one after the other. */
  fail(method: string, ...faults: Fault[]): void {
    this.#faults.set(method, [...(this.#faults.get(method) ?? []), ...faults])
  }

  cards(channel?: string): SlackMessageSeen[] {
    return this.messages.filter(
      (each) => each.thread === undefined && (channel === undefined || each.channel === channel),
    )
  }

  thread(card: SlackMessageSeen): SlackMessageSeen[] {
    return this.messages.filter(({ thread }) => thread === card.ts)
  }

  /** The card, as soon as it fits. */
  async card(fits: (card: SlackMessageSeen) => boolean): Promise<SlackMessageSeen> {
    return this.until(() => this.cards().find(fits), 'a card')
  }

  /** What `find` finds, as soon as it finds something. */
  async until<T>(find: () => T | undefined | false, what: string): Promise<T> {
    const deadline = Date.now() + 20_000
    for (;;) {
      const found = find()
      if (found !== undefined && found !== false) return found
      if (Date.now() > deadline)
        throw new Error(`waited for ${what}; messages: ${JSON.stringify(this.messages)}; calls: ${this.calls.length}`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          this.#waiting.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, 100)
        this.#waiting.add(wake)
      })
    }
  }

  addUser(id: string, more: Json = {}, email = `${id.toLowerCase()}@example.com`): void {
    this.users.set(id, {
      ...{ id, team_id: TEAM, name: id.toLowerCase(), deleted: false, is_bot: false, is_email_confirmed: true },
      profile: { email },
      ...more,
    })
  }

  /** What Slack sends when somebody presses a button of a card. */
  press(card: SlackMessageSeen, actionId: string, user: string, team = TEAM): Json {
    const elements = card.blocks.flatMap((block) => (block.elements as Json[] | undefined) ?? [])
    const button = elements.find((each) => each.action_id === actionId)
    if (!button) throw new Error(`the card has no button ${actionId}: ${JSON.stringify(card)}`)
    return {
      type: 'block_actions',
      ...this.#from(user, team),
      container: { type: 'message', message_ts: card.ts, channel_id: card.channel, is_ephemeral: false },
      channel: { id: card.channel, name: 'approvals' },
      message: { type: 'message', ts: card.ts, text: card.text, blocks: card.blocks },
      actions: [
        { type: 'button', block_id: 'b', action_ts: '1', action_id: actionId, text: button.text, value: button.value },
      ],
    }
  }

  /** What Slack sends when somebody sends a modal with one input. */
  submission(view: Json, text: string | null, user: string, team = TEAM): Json {
    const input = (view.blocks as Json[]).find(({ type }) => type === 'input')
    const { action_id: actionId } = (input?.element ?? {}) as { action_id?: string }
    const values = { [String(input?.block_id)]: { [String(actionId)]: { type: 'plain_text_input', value: text } } }
    return { type: 'view_submission', ...this.#from(user, team), view: { ...view, id: 'V0', state: { values } } }
  }

  /** In a shared channel the workspace is the bot's, and the user's is another. */
  #from(user: string, team: string): Json {
    const trigger = randomUUID()
    this.#triggers.set(trigger, Date.now())
    return {
      user: { id: user, username: user, team_id: team },
      team: { id: TEAM },
      api_app_id: APP,
      trigger_id: trigger,
    }
  }

  /** Sends a payload to a server's `/slack/actions`, signed. */
  send(serverUrl: string, payload: Json): Promise<Response> {
    return this.sendRaw(serverUrl, new URLSearchParams({ payload: JSON.stringify(payload) }).toString())
  }

  sendRaw(serverUrl: string, body: string, headers: Record<string, string> = signatureOf(body)): Promise<Response> {
    return fetch(`${serverUrl}/slack/actions`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body,
    })
  }

  /** Every way of not having signed a body. */
  badHeaders(body: string): Record<string, string>[] {
    const good = signatureOf(body)
    const signature = good['x-slack-signature'] ?? ''
    return [
      {},
      { ...good, 'x-slack-signature': '' },
      { ...good, 'x-slack-signature': signature.slice(0, -2) },
      { ...good, 'x-slack-signature': signature.replace(/.$/, (last) => (last === '0' ? '1' : '0')) },
      { 'x-slack-signature': signature },
      { ...good, 'x-slack-request-timestamp': 'now' },
      signatureOf(`${body} `),
      signatureOf(body, { secret: 'of-somebody-else-entirely' }),
      signatureOf(body, { at: Date.now() - 6 * 60_000 }),
      signatureOf(body, { at: Date.now() + 6 * 60_000 }),
    ]
  }

  /** Sends a payload through Socket Mode; resolves with what was acknowledged. */
  async sendBySocket(payload: Json): Promise<unknown> {
    const socket = await this.until(() => [...this.sockets][0], 'a Socket Mode connection')
    const id = randomUUID()
    const acknowledged = new Promise((resolve) => this.#acks.set(id, resolve))
    socket.send(JSON.stringify({ envelope_id: id, type: 'interactive', payload, accepts_response_payload: true }))
    return acknowledged
  }

  connected(socket: WebSocket): void {
    this.connections++
    this.sockets.add(socket)
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('message', (data) => {
      const { envelope_id: id, payload } = JSON.parse(data.toString())
      this.#acks.get(id)?.(payload)
    })
    socket.send(JSON.stringify({ type: 'hello', num_connections: 1 }))
    this.#changed()
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = (request.url ?? '').replace('/api/', '')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const args = argsOf(Buffer.concat(chunks).toString('utf8'))
    this.calls.push({ method, args, at: Date.now() })
    const answer = (status: number, body: Json, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    }
    const token = method === 'apps.connections.open' ? APP_TOKEN : BOT_TOKEN
    if (request.headers.authorization !== `Bearer ${token}`) return answer(200, { ok: false, error: 'invalid_auth' })
    const fault = this.#faults.get(method)?.shift()
    if (fault && 'hang' in fault) return
    if (fault && 'retryAfter' in fault)
      return answer(429, { ok: false, error: 'ratelimited' }, { 'retry-after': String(fault.retryAfter) })
    if (fault && 'status' in fault) return answer(fault.status, {})
    if (fault && 'error' in fault) return answer(200, { ok: false, error: fault.error })
    const result = this.#call(method, args)
    this.#changed()
    if (fault && 'silent' in fault) return
    if (fault && 'lost' in fault) return void request.socket.destroy()
    answer(200, typeof result === 'string' ? { ok: false, error: result } : { ok: true, ...result })
  }

  /** What the call answers, or the error that Slack would name. */
  #call(method: string, args: Json): Json | string {
    switch (method) {
      case 'auth.test':
        return { team_id: TEAM, user_id: 'U0BOT', bot_id: 'B0BOT', app_id: APP }
      case 'apps.connections.open':
        return { url: `${this.url.replace('http', 'ws')}/link?ticket=${randomUUID()}` }
      case 'chat.postMessage':
        return this.#post(args)
      case 'chat.update': {
        const found = this.messages.find(({ channel, ts }) => channel === args.channel && ts === args.ts)
        if (!found) return 'message_not_found'
        if (messageFaults(args.blocks).length > 0) return 'invalid_blocks'
        Object.assign(found, { text: args.text, blocks: args.blocks, updates: found.updates + 1 })
        return { channel: found.channel, ts: found.ts }
      }
      case 'chat.postEphemeral':
        if (!Object.values(CHANNELS).includes(String(args.channel))) return 'channel_not_found'
        this.whispers.push({ channel: String(args.channel), user: String(args.user), text: String(args.text) })
        return { message_ts: '1' }
      case 'conversations.history': {
        if (!this.mayReadHistory) return 'missing_scope'
        if (!Object.values(CHANNELS).includes(String(args.channel))) return 'channel_not_found'
        const newestFirst = this.cards(String(args.channel)).reverse()
        const { page, next } = this.#page(newestFirst, args)
        return { messages: page.map(({ ts, text, metadata }) => ({ ts, text, metadata })), ...next }
      }
      case 'conversations.list': {
        const type = String(args.types)
        if (!this.mayList.has(type)) return 'missing_scope'
        const all = Object.entries(CHANNELS).filter(([, id]) => PRIVATE.has(id) === (type === 'private_channel'))
        const { page, next } = this.#page([['#general', 'C0GENERAL'] as const, ...all], args)
        return { channels: page.map(([name, id]) => ({ id, name: name.slice(1) })), ...next }
      }
      case 'views.open': {
        const issuedAt = this.#triggers.get(String(args.trigger_id))
        if (issuedAt === undefined) return 'invalid_trigger_id'
        this.#triggers.delete(String(args.trigger_id))
        if (Date.now() - issuedAt > 3000) return 'expired_trigger_id'
        if (viewFaults(args.view).length > 0) return 'invalid_arguments'
        this.views.push(args.view as Json)
        return { view: args.view as Json }
      }
      case 'users.info': {
        const user = this.users.get(String(args.user))
        return user ? { user } : 'user_not_found'
      }
      default:
        return 'unknown_method'
    }
  }

  #page<T>(all: readonly T[], { cursor, limit }: Json): { page: T[]; next: Json } {
    const from = Number(cursor ?? 0)
    const to = from + Math.min(Number(limit), this.pageSize)
    return {
      page: all.slice(from, to),
      next: { response_metadata: { next_cursor: to < all.length ? String(to) : '' } },
    }
  }

  #post(args: Json): Json | string {
    const name = String(args.channel)
    const channel = CHANNELS[name] ?? (Object.values(CHANNELS).includes(name) ? name : undefined)
    if (channel === undefined) return 'channel_not_found'
    if (typeof args.text !== 'string' || args.text === '') return 'no_text'
    if (messageFaults(args.blocks).length > 0) return 'invalid_blocks'
    const ts = `${++this.#lastTs}.000100`
    this.messages.push({
      ...{ channel, ts, text: args.text, blocks: args.blocks as Json[], updates: 0 },
      thread: args.thread_ts as string | undefined,
      metadata: args.metadata as Json | undefined,
    })
    return { channel, ts }
  }

  #changed(): void {
    for (const wake of this.#waiting) wake()
  }
}

/** Form fields; what is JSON in them is read. */
function argsOf(body: string): Json {
  const JSON_FIELDS = new Set(['blocks', 'view', 'metadata'])
  return Object.fromEntries(
    [...new URLSearchParams(body)].map(([key, value]) => [key, JSON_FIELDS.has(key) ? JSON.parse(value) : value]),
  )
}

/** The headers that Slack signs a body with. */
export function signatureOf(body: string, { secret = SIGNING_SECRET, at = Date.now() } = {}): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000))
  const signature = `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`
  return { 'x-slack-request-timestamp': timestamp, 'x-slack-signature': signature }
}

/** A workspace of its own for a test, ended with it. */
export async function startSlack(): Promise<SlackServer> {
  const server = createServer((request, response) => void slack.handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const slack = new SlackServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const sockets = new WebSocketServer({ server, path: '/link' })
  sockets.on('connection', (socket) => slack.connected(socket))
  onTestFinished(async () => {
    for (const socket of slack.sockets) socket.terminate()
    sockets.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return slack
}
