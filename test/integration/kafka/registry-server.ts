import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

/** A server that answers the calls of a schema registry that we make, as the registry documents them. */
export interface RegistryServer {
  /** With user and password. */
  url: string
  /** Calls since the last look, as `GET /schemas/ids/1`. */
  calls(): string[]
  subjects: Map<string, { compatibility: string; ids: number[] }>
  /** Registers a schema as another producer would. */
  add(subject: string, schema: unknown): number
  /** What the next calls are answered with; undefined: as they should. */
  fail: { status: number; message: string } | undefined
}

export async function startRegistry(): Promise<RegistryServer> {
  const schemas: string[] = []
  const subjects: RegistryServer['subjects'] = new Map()
  let calls: string[] = []

  const subjectOf = (name: string) => {
    const subject = subjects.get(name) ?? { compatibility: 'BACKWARD', ids: [] }
    subjects.set(name, subject)
    return subject
  }

  function add(subject: string, schema: string): number {
    const known = schemas.indexOf(schema)
    const id = known >= 0 ? known + 1 : schemas.push(schema)
    const { ids } = subjectOf(subject)
    if (!ids.includes(id)) ids.push(id)
    return id
  }

  async function answer(request: IncomingMessage): Promise<[number, unknown]> {
    const { method, url = '' } = request
    const [, kind, name = '', last] = url.split('/').map(decodeURIComponent)
    const credential = `Basic ${Buffer.from('reader:p@ss').toString('base64')}`
    if (request.headers.authorization !== credential) return [401, { error_code: 401, message: 'Unauthorized' }]
    if (registry.fail) return [registry.fail.status, { error_code: 1, message: registry.fail.message }]
    const body = method === 'GET' ? {} : ((await json(request)) as Record<string, string>)
    if (method === 'PUT' && kind === 'config') {
      subjectOf(name).compatibility = body.compatibility ?? ''
      return [200, { compatibility: body.compatibility }]
    }
    if (method === 'POST' && kind === 'subjects' && last === 'versions')
      return [200, { id: add(name, body.schema ?? '') }]
    const schema = method === 'GET' && kind === 'schemas' ? schemas[Number(last) - 1] : undefined
    return schema ? [200, { schema }] : [404, { error_code: 40403, message: 'Schema not found' }]
  }

  const server = createServer(async (request, response) => {
    calls.push(`${request.method} ${request.url}`)
    const [status, body] = await answer(request)
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const registry: RegistryServer = {
    url: `http://reader:p%40ss@127.0.0.1:${address.port}/`,
    calls: () => {
      const made = calls
      calls = []
      return made
    },
    subjects,
    add: (subject, schema) => add(subject, JSON.stringify(schema)),
    fail: undefined,
  }
  return registry
}
