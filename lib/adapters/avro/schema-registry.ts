import type { AvroSchema, RecordSchema } from '../../../schemas/index.ts'

/** What it takes of a Confluent schema registry. Calls reject with RegistryError, and with `isFinal` false when it is away. */
export interface SchemaRegistry {
  /** Registers a schema, which the registry then compares with all versions before it; resolves with its id. */
  register(subject: string, schema: RecordSchema): Promise<number>
  /** The schema of an id; undefined when there is none. */
  find(id: number): Promise<AvroSchema | undefined>
}

export class RegistryError extends Error {
  /** The registry has answered, and will answer the same again. */
  readonly isFinal: boolean
  constructor(message: string, isFinal: boolean, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RegistryError'
    this.isFinal = isFinal
  }
}

interface Answer {
  status: number
  body: Record<string, unknown>
}

const TIMEOUT_MS = 5_000
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'
const COMPATIBILITY = 'BACKWARD_TRANSITIVE'

/** `url` may hold a user and a password: they go into the header, and into no message. */
export function createSchemaRegistry(url: string): SchemaRegistry {
  const { username, password, origin, pathname } = new URL(url)
  const base = origin + pathname.replace(/\/$/, '')
  const credential = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
  const headers = {
    accept: MEDIA_TYPE,
    'content-type': MEDIA_TYPE,
    ...(username ? { authorization: `Basic ${credential}` } : {}),
  }

  async function call(method: string, path: string, body?: unknown): Promise<Answer> {
    let answer: Answer
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      const sent = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(base + path, { method, headers, signal, redirect: 'error', ...sent })
      answer = { status: response.status, body: objectOf(await response.json().catch(() => undefined)) }
    } catch (error) {
      throw new RegistryError(`the schema registry at ${base} cannot be reached`, false, { cause: error })
    }
    if (answer.status >= 500 || answer.status === 429) throw refused(answer, `${method} ${path}`, false)
    return answer
  }

  const refused = ({ status, body }: Answer, what: string, isFinal = true): RegistryError =>
    new RegistryError(`the schema registry at ${base} refuses ${what}: ${status} ${body.message ?? ''}`.trim(), isFinal)

  return {
    async register(subject, schema) {
      const name = encodeURIComponent(subject)
      const configured = await call('PUT', `/config/${name}`, { compatibility: COMPATIBILITY })
      // Where compatibility is for others to set, it stays as they set it.
      if (configured.status !== 200 && configured.status !== 403)
        throw refused(configured, `compatibility of ${subject}`)
      const registered = await call('POST', `/subjects/${name}/versions`, { schema: JSON.stringify(schema) })
      const { id } = registered.body
      if (registered.status !== 200 || typeof id !== 'number') throw refused(registered, `the schema of ${subject}`)
      return id
    },

    async find(id) {
      const found = await call('GET', `/schemas/ids/${id}`)
      if (found.status === 404) return undefined
      const { schema, schemaType = 'AVRO', references = [] } = found.body
      if (found.status !== 200 || typeof schema !== 'string') throw refused(found, `the schema ${id}`)
      const isAvro = schemaType === 'AVRO' && Array.isArray(references) && references.length === 0
      return isAvro ? (JSON.parse(schema) as AvroSchema) : undefined
    },
  }
}

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {}
