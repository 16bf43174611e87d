import type { WebSocket } from '@fastify/websocket'
import { Status } from '../../../lib/core/approval.ts'
import { CountersignError, problem } from '../../../lib/core/errors.ts'
import { parseStrictJson } from '../../../lib/core/strict-json.ts'
import { type ApprovalView, viewOf } from '../../../lib/core/view.ts'
import type { ListCursor } from '../../../lib/ports/approval-store.ts'
import type { Decider } from '../../../lib/ports/decider.ts'
import type { Principal } from '../../../lib/ports/identity.ts'
import { DECIDERS } from '../../../lib/runtime/access.ts'
import { approverOf } from '../../../lib/runtime/approver.ts'
import type { Logger } from '../../../lib/runtime/logger.ts'
import { reasonOf } from '../../../lib/runtime/reason.ts'
import { type Cursor, decodeCursor, encodeCursor, hasSeen } from './cursor.ts'
import { type Decide, type Filter, parseFrame, type ServerFrame, type Subscribe } from './frames.ts'
import type { Happening, Hub } from './hub.ts'

/** A client that has this much waiting to be sent does not drain and is dropped. */
const MAX_BUFFERED_BYTES = 1024 * 1024
const SNAPSHOT_PAGE = 200
const GOODBYE_MS = 1_000

/** Close codes (RFC 6455; 4401 is ours: the credential is no longer valid). */
export const CloseCode = { goingAway: 1001, tryAgainLater: 1013, unauthenticated: 4401 } as const

/** One open stream: a person's live view of the approvals of their tenant. */
export class StreamClient {
  readonly #socket: WebSocket
  readonly #hub: Hub
  readonly #decider: Decider
  readonly #log: Logger
  readonly #traceId: string
  /** Asked again before every decision, so that a revoked credential decides nothing. */
  readonly #authenticate: () => Promise<Principal | undefined>
  readonly #principal: Principal
  #filter: Filter = {}
  #stopListening: () => void = () => {}
  /** While a snapshot is made, what happens waits here. */
  #backlog: Happening[] | undefined
  #subscriptions = 0
  isAlive = true

  constructor(deps: {
    socket: WebSocket
    hub: Hub
    decider: Decider
    log: Logger
    traceId: string
    principal: Principal
    authenticate: () => Promise<Principal | undefined>
  }) {
    this.#socket = deps.socket
    this.#hub = deps.hub
    this.#decider = deps.decider
    this.#log = deps.log
    this.#traceId = deps.traceId
    this.#principal = deps.principal
    this.#authenticate = deps.authenticate
    this.#socket.on('message', (data, isBinary) => void this.#receive(isBinary ? undefined : data.toString()))
    this.#socket.on('pong', () => {
      this.isAlive = true
    })
    this.#socket.on('close', () => this.#stopListening())
    this.#socket.on('error', (error) => this.#log.debug({ err: error }, 'a stream failed'))
  }

  /** Says goodbye; a client that does not answer, or does not read what waits before it, is cut off a second later. */
  close(code: number, reason: string): void {
    this.#stopListening()
    this.#socket.close(code, reason)
    setTimeout(() => this.#socket.terminate(), GOODBYE_MS).unref()
  }

  /** Pings; a client that has not answered the ping before, or whose credential was revoked, is dropped. */
  async checkAlive(): Promise<void> {
    if (!this.isAlive) return this.#socket.terminate()
    this.isAlive = false
    this.#socket.ping()
    await this.#check()
  }

  async #check(): Promise<Principal | undefined> {
    const principal = await this.#authenticate()
    if (!principal) this.close(CloseCode.unauthenticated, 'the credential is no longer valid')
    return principal
  }

  async #receive(text: string | undefined): Promise<void> {
    let ref: string | undefined
    try {
      if (text === undefined) throw new CountersignError('invalid_request', 'Frames are JSON text.')
      const frame = parseFrame(parseStrictJson(text))
      if (typeof frame === 'string') throw new CountersignError('invalid_body', frame)
      if (frame.type === 'subscribe') return await this.#subscribe(frame)
      ref = frame.ref
      await this.#decide(frame)
    } catch (error) {
      const { code, details } =
        error instanceof CountersignError ? error : { code: 'internal_error' as const, details: {} }
      if (code === 'internal_error') this.#log.error({ err: error, traceId: this.#traceId }, 'a frame failed')
      this.#send({
        type: 'error',
        ...(ref === undefined ? {} : { ref }),
        problem: problem(code, details, 'approver', this.#traceId),
      })
    }
  }

  async #decide({ ref, id, decision, reason, edits }: Decide): Promise<void> {
    const principal = await this.#check()
    if (!principal) return
    if (!DECIDERS.some((role) => role === principal.role))
      throw new CountersignError('forbidden', `The role ${principal.role} may not decide.`)
    const approval = await this.#decider.decide({
      tenant: principal.tenant,
      id,
      decision,
      by: approverOf(principal, 'ws'),
      reason: reasonOf(reason),
      edits: edits === undefined ? null : JSON.stringify(edits),
    })
    this.#send({ type: 'ack', ref, approval: viewOf(approval) })
  }

  /** Sends all that is pending, then what was missed since `after`, then what happens; nothing twice. */
  async #subscribe({ filter = {}, after }: Subscribe): Promise<void> {
    const seen = after === undefined ? undefined : decodeCursor(after)
    if (after !== undefined && !seen)
      throw new CountersignError('invalid_request', 'after is no cursor of this stream.')
    this.#stopListening()
    this.#filter = filter
    const subscription = ++this.#subscriptions
    const backlog: Happening[] = []
    this.#backlog = backlog
    this.#stopListening = this.#hub.listen(
      (happening) => this.#tell(happening, seen),
      () => void this.#receive(JSON.stringify({ type: 'subscribe', filter })),
    )
    const start = this.#hub.cursor
    const missed = seen === undefined ? [] : this.#hub.since(seen)
    const versions = await this.#sendSnapshot(start, seen === undefined || missed === undefined, subscription)
    if (!versions) return
    // What is pending is in the snapshot; of the rest, each event that the client has not seen.
    const untold = [...(missed ?? []).filter(({ event }) => event !== 'requested'), ...backlog].filter(
      ({ approval }) => approval.version > (versions.get(approval.id) ?? 0),
    )
    this.#backlog = undefined
    for (const happening of untold) this.#tell(happening, seen)
  }

  /** The pending approvals in parts, each sent when the one before was taken; resolves with their versions. */
  async #sendSnapshot(start: Cursor, reset: boolean, subscription: number): Promise<Map<string, number> | undefined> {
    const versions = new Map<string, number>()
    const cursor = encodeCursor(start)
    let after: ListCursor | undefined
    for (let part = 0; ; part++) {
      const { agent, tool, risk } = this.#filter
      const page = await this.#decider.list({
        tenant: this.#principal.tenant,
        status: [Status.pending],
        limit: SNAPSHOT_PAGE,
        ...(agent === undefined ? {} : { agent }),
        ...(tool === undefined ? {} : { tool }),
        ...(risk === undefined ? {} : { risk }),
        ...(after === undefined ? {} : { after }),
      })
      if (this.#subscriptions !== subscription) return undefined
      for (const { id, version } of page) versions.set(id, version)
      const last = page.at(-1)
      const more = page.length === SNAPSHOT_PAGE
      const items = page.map((approval) => viewOf(approval))
      await this.#sent({ type: 'snapshot', items, cursor, reset: reset && part === 0, more })
      if (!more || !last) return versions
      after = { requestedAt: last.requestedAt, id: last.id }
    }
  }

  #tell(happening: Happening, seen: Cursor | undefined): void {
    if (this.#backlog) {
      this.#backlog.push(happening)
      return
    }
    const { event, approval, position, encodedCursor } = happening
    if (approval.tenant !== this.#principal.tenant || !this.#fits(approval)) return
    if (seen && hasSeen(seen, position)) return
    this.#send({ type: 'event', event, approval, cursor: encodedCursor })
  }

  #fits({ agent, action, risk }: ApprovalView): boolean {
    const { agent: name, tool, risk: level } = this.#filter
    return (
      (name === undefined || agent.name === name || agent.id === name) &&
      (tool === undefined || action.tool === tool) &&
      (level === undefined || risk === level)
    )
  }

  #send(frame: ServerFrame): void {
    void this.#sent(frame)
  }

  /** Resolves when the frame was handed to the network, or the client is gone. */
  #sent(frame: ServerFrame): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) return Promise.resolve()
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      this.#log.warn({ name: this.#principal.name }, 'a stream client does not drain and was dropped')
      this.close(CloseCode.tryAgainLater, 'too slow')
      return Promise.resolve()
    }
    return new Promise((resolve) => this.#socket.send(JSON.stringify(frame), () => resolve()))
  }
}
