import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** One address for several servers, as a load balancer gives it: new connections go to the one that is chosen. */
export interface Switchboard {
  url: string
  choose(serverUrl: string): void
  close(): Promise<void>
}

export async function switchboard(): Promise<Switchboard> {
  const sockets = new Set<Socket>()
  let target = { host: '127.0.0.1', port: 0 }

  const server = createServer((client) => {
    const chosen = connect(target)
    for (const [socket, other] of [
      [client, chosen],
      [chosen, client],
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  return {
    url: `http://127.0.0.1:${address.port}`,
    choose(serverUrl) {
      const { hostname: host, port } = new URL(serverUrl)
      target = { host, port: Number(port) }
    },
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}
