import { once } from 'node:events'
import { createServer } from 'node:http'
import type { TestProject } from 'vitest/node'
import type { BackendName, Found, StartedBackend } from './backend.ts'

/** Each rejects with the reason when there is no such backend here. Loaded when asked for: most runs need neither. */
const STARTERS: Record<BackendName, () => Promise<StartedBackend>> = {
  kafka: async () => (await import('./kafka.ts')).startKafka(),
  mongo: async () => (await import('./mongo.ts')).startMongo(),
}

/**
 * The broker of backends: one for a run, asked over HTTP because test files run in processes of their own. A backend is
 * started when a test file asks for it first, so a run that needs none starts none.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = new Map<string, Promise<StartedBackend>>()

  async function find(name: BackendName): Promise<Found> {
    const start = started.get(name) ?? STARTERS[name]()
    started.set(name, start)
    try {
      const { url, how } = await start
      return { url, how }
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) }
    }
  }

  const server = createServer(async (request, response) => {
    const name = request.url?.slice(1) ?? ''
    if (!isBackend(name)) return response.writeHead(404).end()
    response.setHeader('content-type', 'application/json').end(JSON.stringify(await find(name)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  project.provide('backends', `http://127.0.0.1:${address.port}`)

  return async () => {
    server.close()
    server.closeAllConnections()
    const backends = await Promise.allSettled(started.values())
    await Promise.all(backends.map((backend) => (backend.status === 'fulfilled' ? backend.value.stop() : undefined)))
  }
}

const isBackend = (name: string): name is BackendName => name in STARTERS
