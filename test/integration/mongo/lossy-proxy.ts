import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface LossyProxy {
  port: number
  /** The server does the next request that holds this text, and its answer is lost with the connection. */
  loseAnswerTo(text: string): void
  /** How many answers were lost. */
  lost(): number
  close(): Promise<void>
}

/** A way to a server on loopback that can lose an answer, as a broken network does. */
export async function lossyProxy(serverPort: number): Promise<LossyProxy> {
  const sockets = new Set<Socket>()
  let text: string | undefined
  let lost = 0

  const proxy = createServer((client) => {
    const server = connect({ port: serverPort, host: '127.0.0.1' })
    let isLosing = false
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (chunk) => {
      if (text !== undefined && chunk.includes(text)) {
        isLosing = true
        text = undefined
      }
      server.write(chunk)
    })
    server.on('data', (chunk) => {
      if (!isLosing) return client.write(chunk)
      lost++
      client.destroy()
    })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  return {
    port: address.port,
    loseAnswerTo: (next) => {
      text = next
    },
    lost: () => lost,
    close: async () => {
      proxy.close()
      for (const socket of sockets) socket.destroy()
      await once(proxy, 'close')
    },
  }
}
