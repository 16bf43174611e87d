import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { discardRest } from '../../../../services/gate/proxy/discard.ts'
import { bodyAfter, peek } from '../../../../services/gate/proxy/peek.ts'
import { HandClock } from '../../../support/hand-clock.ts'

/** A call whose body has ten bytes, of which half have come. */
async function startCall() {
  const calls: [IncomingMessage, ServerResponse][] = []
  const server = createServer((...call) => void calls.push(call))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const begun = once(server, 'request')
  const agent = connect((server.address() as AddressInfo).port, '127.0.0.1')
  agent.on('error', () => undefined)
  agent.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst')
  const [request, response] = (await begun) as [IncomingMessage, ServerResponse]
  return { agent, request, response, clock: new HandClock(0) }
}

test('a body that does not come within ten seconds is judged like one that is too long, and goes on as it comes', async () => {
  const { agent, request, clock } = await startCall()
  let isPeeked = false
  const peeking = Promise.resolve(peek(request, clock)).finally(() => {
    isPeeked = true
  })
  await clock.pass(9_999)
  expect(isPeeked).toBe(false)
  await clock.pass(1)
  expect(isPeeked).toBe(true)
  const peeked = await peeking
  expect(peeked).toMatchObject({ framing: 'length', whole: false })
  agent.write('later')
  let body = ''
  for await (const chunk of bodyAfter(request, peeked, undefined)) body += String(chunk)
  expect(body).toBe('firstlater')
})

test('a body whose caller leaves in the middle of it is none', async () => {
  const { agent, request, clock } = await startCall()
  const peeking = Promise.resolve(peek(request, clock))
  agent.destroy()
  await expect(peeking).rejects.toMatchObject({ code: 'approval_cancelled' })
})

test('a caller that does not end its body is cut off ten seconds after its answer', async () => {
  const { agent, request, response, clock } = await startCall()
  discardRest(request, response, clock)
  const answered = once(response, 'finish')
  response.end('no')
  await answered
  await clock.pass(9_999)
  expect(request.destroyed).toBe(false)
  await clock.pass(1)
  expect(request.destroyed).toBe(true)
  await once(agent.resume(), 'close')
})
