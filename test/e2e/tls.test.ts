import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { HELLO, raw } from '../support/mcp-raw.ts'
import { bearer } from '../support/proxy-world.ts'
import { startWorld } from '../support/server.ts'
import { SELF_SIGNED } from '../support/tls.ts'

/** A server that no known authority vouches for, and what it was sent. */
async function startStranger() {
  const got: string[] = []
  const server = createServer(SELF_SIGNED, ({ url = '' }, response) => {
    got.push(url)
    response.end('{"opinion":"approve"}')
  })
  server.on('upgrade', ({ url = '' }, socket) => {
    got.push(url)
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, got }
}

/** Node says once that the variable is unsafe; that is what is tried here. */
function stubTls(word: string): void {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', word)
  onTestFinished(() => void vi.unstubAllEnvs())
}

test.each(['1', '0'])(
  'nothing is forwarded to whom nobody known vouches for (NODE_TLS_REJECT_UNAUTHORIZED=%s)',
  async (word) => {
    stubTls(word)
    const stranger = await startStranger()
    const { url, agent } = await startWorld({
      config: JSON.stringify({
        upstreams: { api: { url: stranger.url, headers: { 'x-key': 'k' } } },
        mcp: { tools: { url: `${stranger.url}/mcp` } },
      }),
      policy: 'version: 1\ndefault: allow\n',
    })
    const plain = await fetch(`${url}/proxy/api/plain`, { headers: bearer(agent) })
    expect([plain.status, await plain.json()]).toMatchObject([502, { code: 'upstream_unreachable' }])

    const upgrading = request(`${url}/proxy/api/socket`, {
      headers: {
        ...bearer(agent),
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
      },
    }).end()
    const [answer] = await once(upgrading, 'response')
    answer.resume()
    expect(answer.statusCode).toBe(502)

    expect((await raw(agent, '/mcp/tools', HELLO)).message.error).toMatchObject({
      message: expect.stringContaining('reached'),
    })
    expect(stranger.got).toEqual([])
  },
)

test('nor is it asked what to do', async () => {
  stubTls('0')
  const stranger = await startStranger()
  const { agent } = await startWorld({
    policy: `
version: 1
default: deny
rules: [{ id: pay, match: { tool: pay }, action: require_approval }]
evaluators: { external: [{ id: judge, url: "${stranger.url}", may: [approve] }] }
`,
  })
  expect(await agent.ask('pay', {}, { headers: { prefer: 'respond-async' } })).toMatchObject({ status: 202 })
  expect(stranger.got).toEqual([])
})
