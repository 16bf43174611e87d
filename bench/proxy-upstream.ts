import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An upstream that takes any call and answers 1 KB of JSON at once: what is measured is the way to it. */
const body = Buffer.from(JSON.stringify({ id: 'ch_1', object: 'charge', filler: 'x'.repeat(960) }))
const headers = { 'content-type': 'application/json', 'content-length': body.length }

const server = createServer((request, response) => {
  request.resume()
  request.on('end', () => {
    response.writeHead(200, headers)
    response.end(body)
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`ready http://127.0.0.1:${port}\n`)
})
process.once('SIGTERM', () => process.exit(0))
