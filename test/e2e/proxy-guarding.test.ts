import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { bearer, PROXY_POLICY, proxied } from '../support/proxy-world.ts'
import { scenario } from '../support/server.ts'

proxied('TRACE would show what the gate adds: it is refused', async ({ call, upstream }) => {
  const answer = await call('TRACE', 'api/x')
  expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
  expect(answer.json.detail).toContain('TRACE')
  expect(answer.body.toString()).not.toContain('upstream-credential')
  expect(upstream.connections).toBe(0)
})

proxied('the agent’s key never goes on in a URL, however it is spelled', async ({ call, agent, upstream }) => {
  const { secret } = agent
  const escaped = secret.replace('csk', '%63%73k')
  for (const path of [`api/x?api_key=${secret}`, `api/${secret}/x`, `api/x?api_key=${escaped}`]) {
    const answer = await call('GET', path)
    expect(answer).toMatchObject({ status: 400, json: { code: 'invalid_request' } })
    expect(answer.body.toString()).not.toContain(secret)
  }
  expect(upstream.connections).toBe(0)
})

proxied(
  'a header with underscores is judged as the one with hyphens, whichever the rule names',
  async ({ call }) => {
    for (const path of ['api/hyphens', 'api/underscores'])
      for (const name of ['X-Tenant', 'X_Tenant', 'x_tenant'])
        expect(await call('GET', path, { headers: { [name]: 'prod' } })).toMatchObject({ status: 403 })
  },
  {
    policy: `${PROXY_POLICY}
  - { id: hyphens, match: { path: "/hyphens" }, when: [{ path: headers.x-tenant, eq: prod }], action: deny }
  - { id: underscores, match: { path: "/underscores" }, when: [{ path: headers.x_tenant, eq: prod }], action: deny }
`,
  },
)

proxied('an approved plain call opens no WebSocket, and a card tells the two apart', async (world) => {
  const { admin, call, url, agent, upstream } = world
  upstream.onSocket = () => undefined
  const plain = await call('GET', 'api/sockets/held', { headers: { prefer: 'respond-async' } })
  expect(plain.status).toBe(202)
  const id = plain.json.approvalId ?? ''
  await admin.decide(id, 'approve')
  const socket = new WebSocket(`${url.replace('http', 'ws')}/proxy/api/sockets/held`, { headers: bearer(agent) })
  socket.on('error', () => undefined)
  const opened = once(socket, 'open')
  const asked = await world.asked()
  expect(asked.id).not.toBe(id)
  expect(asked.action.summary).toContain('opens a WebSocket')
  expect(JSON.parse(asked.action.preview).headers.upgrade).toBe('websocket')
  expect((await admin.record(id)).action.summary).not.toContain('WebSocket')
  await admin.decide(asked.id, 'approve')
  await opened
  socket.terminate()
})

proxied('calls in line behind another on one connection are cancelled when it goes', async (world) => {
  const { admin, agent, url } = world
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const requestOf = (path: string) =>
    `GET /proxy/api/refunds/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${agent.secret}\r\n\r\n`
  socket.write(requestOf('a') + requestOf('b') + requestOf('c'))
  const pending = await admin.pending(3)
  socket.destroy()
  for (const { id } of pending)
    expect(await admin.recordThat(id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'cancelled' })
})

scenario('asked actions in line behind another are cancelled when their connection goes', async (world) => {
  const { admin, agent, url } = world
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  for (const amount of [1, 2]) {
    const body = JSON.stringify({ tool: 'stripe.refund', args: { amount } })
    socket.write(
      `POST /v1/actions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${agent.secret}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
  }
  const pending = await admin.pending(2)
  socket.destroy()
  for (const { id } of pending)
    expect(await admin.recordThat(id, ({ status }) => status !== 'pending')).toMatchObject({ status: 'cancelled' })
})
