import { type ReadonlySignal, signal } from '@preact/signals'
import type { ApprovalView, Decision } from '../sdk/types.ts'
import { ANSWER_TIMEOUT_MS, getSession, isUnauthenticated, postDecision, Refusal } from './api.ts'
import type { ClientFrame, DecisionMore, ServerFrame, SnapshotFrame } from './wire.ts'

/** `live` from the first snapshot on: what the page shows is what the server knows. */
export type StreamStatus = 'connecting' | 'live' | 'reconnecting'

export interface StreamOptions {
  /** Everything that is pending, whole. */
  onSnapshot(items: ApprovalView[], reset: boolean): void
  onEvent(approval: ApprovalView): void
  onSignedOut(): void
}

export interface Stream {
  status: ReadonlySignal<StreamStatus>
  /** Resolves with the record as it then stands; rejects with a Refusal. Sending the same decision again is safe. */
  decide(id: string, decision: Decision, more: DecisionMore): Promise<ApprovalView>
  close(): void
}

const PROTOCOL = 'countersign.v1'
const CLOSE_UNAUTHENTICATED = 4401
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

/** Doubles with each attempt, and is spread so that a restarted server is not met by everybody at once. */
export const pauseBefore = (attempt: number, random: number): number =>
  Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS) * (0.5 + random / 2)

/** Waits for the answer to one frame; undefined when the connection ended first. */
type Waiter = (answer: ApprovalView | Refusal | undefined) => void

/** Keeps one WebSocket open to `/v1/stream`, and after a break goes on from the last cursor. */
export function openStream({ onSnapshot, onEvent, onSignedOut }: StreamOptions): Stream {
  const status = signal<StreamStatus>('connecting')
  const waiters = new Map<string, Waiter>()
  let socket: WebSocket | undefined
  let cursor: string | undefined
  let parts: SnapshotFrame[] = []
  let attempt = 0
  let lastRef = 0
  let closed = false
  let retry: ReturnType<typeof setTimeout> | undefined

  function connect(): void {
    retry = undefined
    const current = new WebSocket(new URL('/v1/stream', location.href.replace(/^http/, 'ws')), PROTOCOL)
    let opened = false
    socket = current
    current.onopen = () => {
      opened = true
      send(current, { type: 'subscribe', ...(cursor === undefined ? {} : { after: cursor }) })
    }
    current.onmessage = ({ data }: MessageEvent<string>) => receive(JSON.parse(data) as ServerFrame)
    current.onclose = ({ code }) => {
      if (socket !== current) return
      socket = undefined
      lose()
      if (closed) return
      if (code === CLOSE_UNAUTHENTICATED) return end()
      status.value = 'reconnecting'
      void reconnect(opened)
    }
  }

  /** A browser does not say why an upgrade was refused: the session route does. */
  async function reconnect(opened: boolean): Promise<void> {
    const refused = !opened && (await getSession().then(() => false, isUnauthenticated))
    if (closed || socket !== undefined || retry !== undefined) return
    if (refused) return end()
    retry = setTimeout(connect, pauseBefore(attempt, Math.random()))
    attempt += 1
  }

  /** Somebody looks, or the network is back: no reason to sit out the pause. */
  function hurry(): void {
    if (document.visibilityState !== 'visible' || retry === undefined) return
    clearTimeout(retry)
    connect()
  }

  function receive(frame: ServerFrame): void {
    switch (frame.type) {
      case 'snapshot':
        parts = frame.reset ? [frame] : [...parts, frame]
        if (!frame.more) receiveSnapshot()
        break
      case 'event':
        cursor = frame.cursor
        onEvent(frame.approval)
        break
      case 'ack':
        waiters.get(frame.ref)?.(frame.approval)
        break
      case 'error':
        if (frame.ref !== undefined) waiters.get(frame.ref)?.(new Refusal(frame.problem))
        break
    }
  }

  function receiveSnapshot(): void {
    const whole = parts
    parts = []
    cursor = whole.at(-1)?.cursor
    attempt = 0
    onSnapshot(
      whole.flatMap(({ items }) => items),
      whole.some(({ reset }) => reset),
    )
    status.value = 'live'
  }

  function lose(): void {
    parts = []
    for (const waiter of [...waiters.values()]) waiter(undefined)
  }

  function ask(id: string, decision: Decision, more: DecisionMore): Promise<Parameters<Waiter>[0]> {
    const current = socket
    if (current?.readyState !== WebSocket.OPEN) return Promise.resolve(undefined)
    lastRef += 1
    const ref = String(lastRef)
    return new Promise((resolve) => {
      // A connection that swallows a decision is dead, whatever the network says.
      const timer = setTimeout(() => {
        current.close()
        waiter(undefined)
      }, ANSWER_TIMEOUT_MS)
      const waiter: Waiter = (answer) => {
        clearTimeout(timer)
        waiters.delete(ref)
        resolve(answer)
      }
      waiters.set(ref, waiter)
      send(current, { type: 'decide', ref, id, decision, ...more })
    })
  }

  function end(): void {
    close()
    onSignedOut()
  }

  function close(): void {
    closed = true
    clearTimeout(retry)
    removeEventListener('online', hurry)
    document.removeEventListener('visibilitychange', hurry)
    socket?.close()
    lose()
  }

  addEventListener('online', hurry)
  document.addEventListener('visibilitychange', hurry)
  connect()

  return {
    status,
    async decide(id, decision, more) {
      const answer = await ask(id, decision, more)
      if (answer instanceof Refusal) throw answer
      return answer ?? postDecision(id, decision, more)
    },
    close,
  }
}

const send = (socket: WebSocket, frame: ClientFrame): void => socket.send(JSON.stringify(frame))
