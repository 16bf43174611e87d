import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { readUpstreams } from '../../../../lib/runtime/config/upstreams.ts'
import { Forwarder } from '../../../../services/gate/proxy/forwarder.ts'
import { startUpstream } from '../../../support/upstream-server.ts'

test('nothing is sent for an agent that has left by the time a connection is there', async () => {
  const upstream = await startUpstream()
  const [api] = readUpstreams({ api: { url: upstream.url } }, [])
  const forwarder = new Forwarder(api ? [api] : [])
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    await forwarder.close()
    await new Promise((resolve) => server.close(resolve))
  })
  const begun = once(server, 'request')
  const agent = connect((server.address() as AddressInfo).port, '127.0.0.1')
  agent.write('POST / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [request, response] = (await begun) as [IncomingMessage, ServerResponse]
  const left = new Promise((resolve) => request.socket.once('close', resolve))
  agent.destroy()
  await left
  for (const approvalId of [null, 'apr_1']) {
    const target = { ...api!.base, path: '/x' }
    const outgoing = { upstream: api!, method: 'POST', target, headers: [], body: null, approvalId }
    expect(await forwarder.forward(outgoing, request, response)).toEqual({ type: 'unreachable', why: 'the agent left' })
  }
  expect([upstream.received, upstream.begun]).toEqual([[], 0])
})
