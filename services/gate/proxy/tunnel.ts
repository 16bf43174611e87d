import * as http from 'node:http'
import * as https from 'node:https'
import type { Socket } from 'node:net'
import { writable, writeAnswerHead } from './answer-head.ts'
import { failureWords } from './failure.ts'
import { type Forwarded, type Outgoing, pathOf } from './forwarder.ts'
import { headersToAnswer } from './headers.ts'

/** A connection whose caller asks to speak another protocol on it. */
export interface Upgrading {
  socket: Socket
  response: http.ServerResponse
  /** What the caller has sent behind its request already. */
  early: () => Buffer
}

/**
 * Sends upgrades to upstreams and joins the two connections when they agree. Another answer than 101 goes back as the
 * answer that it is.
 */
export class Tunnels {
  readonly #open = new Set<Socket>()

  /** Resolves when the upstream answers, or when it is known that it will not. Never rejects. */
  open(outgoing: Outgoing, { socket, response, early }: Upgrading): Promise<Forwarded> {
    const { upstream, target, headers, approvalId } = outgoing
    const { request } = target.scheme === 'https' ? https : http
    const isDefault = target.port === (target.scheme === 'https' ? 443 : 80)
    return new Promise((resolve) => {
      let isSent = false
      const sent = request({
        host: target.host.replace(/^\[|\]$/g, ''),
        port: target.port,
        path: pathOf(target),
        method: 'GET',
        agent: false,
        // Certificates are verified whatever NODE_TLS_REJECT_UNAUTHORIZED says.
        rejectUnauthorized: true,
        setHost: false,
        headers: [
          'Host',
          isDefault ? target.host : `${target.host}:${target.port}`,
          'Connection',
          'Upgrade',
          'Upgrade',
          'websocket',
          ...headers,
        ] as unknown as http.OutgoingHttpHeaders,
      })
      const leave = () => sent.destroy()
      socket.once('close', leave)
      const fail = (why: string) => {
        socket.off('close', leave)
        resolve({ type: isSent ? 'failed' : 'unreachable', why: socket.destroyed ? 'the agent left' : why })
      }
      const connecting = setTimeout(() => {
        fail('no connection was made in time')
        sent.destroy()
      }, upstream.connectTimeoutMs)
      sent.once('socket', (connection) => {
        connection.once(target.scheme === 'https' ? 'secureConnect' : 'connect', () => {
          clearTimeout(connecting)
          isSent = true
          sent.setTimeout(upstream.answerTimeoutMs, () => {
            fail('it did not begin to answer in time')
            sent.destroy()
          })
        })
      })
      sent.once('error', (error) => {
        clearTimeout(connecting)
        fail(failureWords(error))
      })
      sent.once('upgrade', (answer, connection: Socket, head) => {
        socket.off('close', leave)
        sent.setTimeout(0)
        response.detachSocket(socket)
        const list = writable(headersToAnswer(answer.rawHeaders, { approvalId, trailers: false }))
        const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket']
        for (let at = 0; at < list.length; at += 2) lines.push(`${list[at]}: ${list[at + 1]}`)
        socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
        if (head.length > 0) socket.write(head)
        socket.setTimeout(0)
        const begun = early()
        if (begun.length > 0) connection.write(begun)
        this.#join(socket, connection)
        resolve({ type: 'answered', status: 101 })
      })
      sent.once('response', (answer) => {
        const { statusCode: status = 0, statusMessage: phrase } = answer
        const list = headersToAnswer(answer.rawHeaders, { approvalId, trailers: false })
        answer.on('error', () => response.destroy())
        try {
          writeAnswerHead(response, { status, phrase, list: [...list, 'Connection', 'close'] })
        } catch {
          fail('its answer is not HTTP')
          sent.destroy()
          return
        }
        answer.pipe(response)
        resolve({ type: 'answered', status })
      })
      sent.end()
    })
  }

  /** Cuts every connection that was joined. */
  close(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Bytes go both ways, each at the pace of its reader, until either side is done. */
  #join(one: Socket, other: Socket): void {
    this.#open.add(one)
    one.once('close', () => this.#open.delete(one))
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      from.on('error', () => from.destroy())
      // What was read before the end is written first.
      from.once('close', () => to.destroySoon())
      from.pipe(to)
    }
  }
}
