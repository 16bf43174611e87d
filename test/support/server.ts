import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { createKeyStore } from '../../lib/adapters/sqlite/key-store.ts'
import { KEYS_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import type { ApprovalView } from '../../lib/core/view.ts'
import type { Role } from '../../lib/ports/key-store.ts'
import { systemClock } from '../../lib/runtime/clock.ts'
import { hashSecret, newKeyId, newSecret } from '../../lib/runtime/keys.ts'
import { createLogger, type Logger } from '../../lib/runtime/logger.ts'
import { startUp } from '../../services/up.ts'

/** One rule for each situation that the scenarios need. */
export const POLICY = `
version: 1
default: allow
settings: { timeout: 1m, denialMemory: 1m }
rules:
  - { id: refunds, match: { tool: "stripe.refund" }, action: require_approval, risk: high }
  - { id: large-refunds, description: Large refunds need a look, match: { tool: "stripe.refund" }, when: [{ path: args.amount, gt: 1000 }], action: require_approval }
  - { id: quick, match: { tool: "quick.*" }, action: require_approval, approval: { timeout: 1s } }
  - { id: two-people, match: { tool: "two.people" }, action: require_approval, approval: { threshold: { approve: 2, deny: 1 } } }
  - { id: finance-only, match: { tool: "finance.pay" }, action: require_approval, approval: { approvers: ["group:finance"] } }
  - { id: with-reason, match: { tool: "with.reason" }, action: require_approval, approval: { reasonRequired: [deny] } }
  - { id: rising, match: { tool: "rising.*" }, action: require_approval, approval: { timeout: 3s, approvers: [nobody], onTimeout: escalate, escalation: [{ approvers: [owner] }] } }
  - { id: kept, match: { tool: "kept.*" }, action: require_approval, approval: { onDisconnect: keep } }
  - { id: never, match: { tool: "never.*" }, action: deny }
`

export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  body: T
}

/** Whoever holds a secret and speaks HTTP. */
export class Caller {
  readonly url: string
  readonly secret: string
  readonly name: string
  constructor(url: string, secret: string, name: string) {
    this.url = url
    this.secret = secret
    this.name = name
  }

  async send<T = Record<string, unknown>>(
    method: string,
    path: string,
    options: { body?: unknown; text?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ): Promise<Answer<T>> {
    const body = options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.secret}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { body }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? undefined : JSON.parse(text)) as T,
    }
  }

  /** Asks whether a tool may run; resolves when the gate answers, which may be when a person decides. */
  ask(
    tool: string,
    args: unknown = {},
    options: { headers?: Record<string, string>; signal?: AbortSignal; context?: Record<string, unknown> } = {},
  ) {
    const { context, ...rest } = options
    return this.send<AskBody>('POST', '/v1/actions', { ...rest, body: { tool, args, ...(context ? { context } : {}) } })
  }

  decide(id: string, decision: string, more: Record<string, unknown> = {}) {
    return this.send<ApprovalView & Problem>('POST', `/v1/approvals/${id}/decision`, { body: { decision, ...more } })
  }

  async record(id: string): Promise<ApprovalView> {
    return (await this.send<ApprovalView>('GET', `/v1/approvals/${id}`)).body
  }

  /** The pending approvals, as soon as there are `count` of them. */
  async pending(count = 1): Promise<ApprovalView[]> {
    const found = new Map<string, ApprovalView>()
    while (found.size < count) {
      const exclude = [...found.keys()].join(',')
      const { body } = await this.send<{ items: ApprovalView[] }>(
        'GET',
        `/v1/approvals/pending?wait=20${exclude === '' ? '' : `&exclude=${exclude}`}`,
      )
      if (body.items.length === 0) throw new Error(`waited for ${count} pending approvals, got ${found.size}`)
      for (const item of body.items) found.set(item.id, item)
    }
    return [...found.values()]
  }

  /** The record as soon as it fits; reads again until then. */
  async recordThat(id: string, fits: (record: ApprovalView) => boolean): Promise<ApprovalView> {
    const deadline = Date.now() + 20_000
    for (;;) {
      const record = await this.record(id)
      if (fits(record)) return record
      if (Date.now() > deadline) throw new Error(`the record ${id} stayed ${record.status}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  stream(after?: string): Promise<Stream> {
    return Stream.open(this.url, this.secret, after)
  }
}

export interface Problem {
  code?: string
  detail?: string
  retryable?: boolean
  approvalId?: string
  approval?: ApprovalView
  errors?: { path: string; message: string }[]
}

export type AskBody = Problem & {
  effect?: string
  args?: unknown
  status?: string | number
  decidedBy?: { name: string }[]
  reason?: string
  replayed?: boolean
  use?: number
  edited?: boolean
  rule?: { id: string; revision: string } | null
  expiresAt?: string
  summary?: string
}

export interface Frame {
  type: string
  ref?: string
  event?: string
  items?: ApprovalView[]
  approval?: ApprovalView
  cursor?: string
  reset?: boolean
  problem?: Problem & { status: number }
}

/** A WebSocket client that keeps every frame. */
export class Stream {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  closed: number | undefined
  readonly #waiting = new Set<() => void>()

  static async open(url: string, secret: string, after?: string): Promise<Stream> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, 'countersign.v1', {
      headers: { authorization: `Bearer ${secret}` },
    })
    const stream = new Stream(socket)
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve())
      socket.once('error', reject)
    })
    stream.send({ type: 'subscribe', ...(after === undefined ? {} : { after }) })
    await stream.frame(({ type }) => type === 'snapshot')
    return stream
  }

  constructor(socket: WebSocket) {
    this.socket = socket
    onTestFinished(() => socket.terminate())
    socket.on('message', (data) => {
      this.frames.push(JSON.parse(data.toString()))
      for (const wake of this.#waiting) wake()
    })
    socket.on('close', (code) => {
      this.closed = code
      for (const wake of this.#waiting) wake()
    })
    socket.on('error', () => {})
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  get snapshot(): ApprovalView[] {
    return this.frames.filter(({ type }) => type === 'snapshot').flatMap(({ items }) => items ?? [])
  }

  get cursor(): string {
    return this.frames.findLast(({ cursor }) => cursor !== undefined)?.cursor ?? ''
  }

  events(name?: string): Frame[] {
    return this.frames.filter(({ type, event }) => type === 'event' && (name === undefined || event === name))
  }

  /** The first frame that fits, now or as soon as it comes. */
  async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    await this.until(() => this.frames.some(fits), 'a frame')
    return this.frames.find(fits)!
  }

  async until(holds: () => boolean, what: string): Promise<void> {
    const deadline = AbortSignal.timeout(20_000)
    while (!holds()) {
      if (deadline.aborted) throw new Error(`waited for ${what}; frames: ${JSON.stringify(this.frames)}`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake)
          deadline.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        deadline.addEventListener('abort', wake)
      })
    }
  }
}

export interface World {
  url: string
  dataDir: string
  agent: Caller
  admin: Caller
  /** A new key in the key store, beside the running server. */
  caller(name: string, role: Role, more?: { tenant?: string; groups?: string[] }): Promise<Caller>
  /** Puts another policy in force. */
  changePolicy(policy: string): void
  /** Stops the server and starts it again on the same data. */
  restart(): Promise<void>
  /** The code of the login link that the last start printed; empty when there was none. */
  loginCode(): Promise<string>
  stop(): Promise<void>
}

/** A real server on a data directory of its own, ended with the test. */
export async function startWorld(options: { policy?: string; config?: string; log?: Logger } = {}): Promise<World> {
  const root = mkdtempSync(join(tmpdir(), 'countersign-test-'))
  const dataDir = join(root, 'data')
  const policyFile = join(root, 'policy.yaml')
  const configFile = join(root, 'countersign.yaml')
  writeFileSync(policyFile, options.policy ?? POLICY)
  writeFileSync(configFile, options.config ?? '')
  const start = (port: number) =>
    startUp({ port, embedded: true, dataDir, policyFile, configFile, log: options.log ?? createLogger('silent') })
  let up = await start(0)
  onTestFinished(async () => {
    await up.close()
    rmSync(root, { recursive: true, force: true })
  })
  const { url } = up
  return {
    url,
    dataDir,
    agent: new Caller(url, up.agentKey ?? '', 'agent'),
    admin: new Caller(url, up.token ?? '', 'owner'),
    async caller(name, role, { tenant = 'default', groups = [] } = {}) {
      const secret = newSecret(role)
      const db = openDatabase(join(dataDir, 'keys.db'), KEYS_SCHEMA)
      const keys = createKeyStore({ db, clock: systemClock })
      const key = { id: newKeyId(), hash: hashSecret(secret), name, role, tenant, groups, email: null, createdAt: 0 }
      await keys.insert(key)
      await keys.close()
      db.close()
      return new Caller(url, secret, name)
    },
    changePolicy(policy) {
      writeFileSync(policyFile, policy)
      up.reloadPolicy()
    },
    async restart() {
      await up.close()
      up = await start(Number(new URL(url).port))
    },
    loginCode: async () => up.loginUrl?.split('#code=')[1] ?? '',
    stop: () => up.close(),
  }
}

/** An end-to-end test that reads as a sentence. */
export function scenario(
  name: string,
  run: (world: World) => Promise<void>,
  options: Parameters<typeof startWorld>[0] = {},
) {
  test(name, async () => run(await startWorld(options)))
}
