import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { FastifyReply } from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import { abortOnDisconnect, whenClosed } from '../../../lib/runtime/disconnect.ts'

/** A call, and its end when the caller leaves. */
async function startCall() {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const begun = once(server, 'request')
  const caller = connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
  caller.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [request, response] = (await begun) as [IncomingMessage, ServerResponse]
  const leave = async () => {
    const closed = new Promise((resolve) => request.socket.once('close', resolve))
    caller.destroy()
    await closed
  }
  return { request, response, reply: { raw: response, request: { raw: request } } as FastifyReply, leave }
}

test('a caller that leaves before its answer aborts, also when it had left before anybody asked', async () => {
  const { reply, leave } = await startCall()
  const signal = abortOnDisconnect(reply)
  expect(signal.aborted).toBe(false)
  await leave()
  expect([signal.aborted, abortOnDisconnect(reply).aborted]).toEqual([true, true])
})

test('a caller that leaves with its answer aborts nothing, and who no longer listens is not told', async () => {
  const { request, response, reply, leave } = await startCall()
  const told: string[] = []
  const signal = abortOnDisconnect(reply)
  whenClosed(request.socket, () => told.push('listens'))
  whenClosed(request.socket, () => told.push('does not'))()
  const finished = once(response, 'close')
  response.end('done')
  await finished
  await leave()
  expect([signal.aborted, told]).toEqual([false, ['listens']])
})
