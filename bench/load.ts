import { once } from 'node:events'
import { Agent, type RequestOptions, request } from 'node:http'
import { WebSocket } from 'ws'
import type { Target } from './target.ts'

/** What a run of cycles took. */
export interface Run {
  cycles: number
  seconds: number
  /** Of each cycle, from sending the decision to the arrival of the held answer, in milliseconds. */
  resumeMs: number[]
}

const NOT_HELD = new Error('a call was answered before it was decided')

/** Plays agents and an approver against one target. */
export interface Load {
  /** Keeps `inFlight` cycles going for so long; those under way at the end are finished, and count. */
  run(inFlight: number, seconds: number): Promise<Run>
  close(): void
}

/**
 * A cycle: an agent's call is held, the stream tells of it, the approver approves, the held call is answered.
 * Rejects when an answer is not the one that belongs there.
 */
export async function openLoad(target: Target): Promise<Load> {
  const { agents, stream: streamUrl, decisions } = target.urls
  const connections = new Agent({ keepAlive: true, scheduling: 'lifo' })
  const requested = new Map<string, () => void>()
  let calls = 0

  const stream = new WebSocket(`${streamUrl.replace('http', 'ws')}/v1/stream`, 'countersign.v1', {
    headers: { authorization: `Bearer ${target.token}` },
    perMessageDeflate: false,
  })
  await once(stream, 'open')
  stream.send('{"type":"subscribe"}')
  await once(stream, 'message')
  stream.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString())
    if (frame.event === 'requested') requested.get(frame.approval.id)?.()
  })

  const headers = (secret: string) => ({ authorization: `Bearer ${secret}`, 'content-type': 'application/json' })
  const addressOf = (url: string) => {
    const { hostname, port } = new URL(url)
    return { hostname, port }
  }
  const agent = { ...addressOf(agents), headers: headers(target.agentKey) }
  const approver = { ...addressOf(decisions), headers: headers(target.token) }
  const decision = '{"decision":"approve"}'

  /** Resolves when the whole answer is here; rejects unless it is a 200. */
  function post(caller: RequestOptions, path: string, body: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const sent = request({ ...caller, path, method: 'POST', agent: connections }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${path} was answered ${response.statusCode}`))
        response.on('error', reject).on('end', resolve).resume()
      })
      sent.on('error', reject).end(body)
    })
  }

  async function cycle(resumeMs: number[]): Promise<void> {
    const call = ++calls
    const key = `bench-${process.pid}-${call}`
    const id = target.idOf(key)
    const body = `{"tool":"stripe.refund","args":{"charge":"ch_${call}","amount":${call},"reason":"requested_by_customer"}}`
    const held = post({ ...agent, headers: { ...agent.headers, 'idempotency-key': key } }, '/v1/actions', body)
    await new Promise<void>((resolve, reject) => {
      requested.set(id, resolve)
      held.then(() => reject(NOT_HELD), reject)
    })
    requested.delete(id)
    const decidedAt = performance.now()
    const decided = post(approver, `/v1/approvals/${id}/decision`, decision)
    await held
    resumeMs.push(performance.now() - decidedAt)
    await decided
  }

  return {
    async run(inFlight, seconds) {
      const resumeMs: number[] = []
      const start = performance.now()
      const end = start + seconds * 1000
      const work = async () => {
        while (performance.now() < end) await cycle(resumeMs)
      }
      await Promise.all(Array.from({ length: inFlight }, work))
      return { cycles: resumeMs.length, seconds: (performance.now() - start) / 1000, resumeMs }
    },
    close() {
      stream.terminate()
      connections.destroy()
    },
  }
}
