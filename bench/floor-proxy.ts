import type { AddressInfo } from 'node:net'
import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'

/** The floor: Fastify with its reverse proxy, and nothing else: no identity, no policy, no limits. */
const [upstream = ''] = process.argv.slice(2)
const app = Fastify()
await app.register(httpProxy, { upstream, prefix: '/proxy/api', disableRequestLogging: true })
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
process.stdout.write(`ready http://127.0.0.1:${port}\n`)
process.once('SIGTERM', () => process.exit(0))
