import avsc from 'avsc'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { avroCodec } from '../../../lib/adapters/avro/event-codec.ts'
import { registeredAvroCodec } from '../../../lib/adapters/avro/registered-codec.ts'
import { createSchemaRegistry } from '../../../lib/adapters/avro/schema-registry.ts'
import { TOPICS } from '../../../lib/core/events.ts'
import { schemas } from '../../../schemas/index.ts'
import { requestedEvent, settledEvent } from '../../support/approvals.ts'
import { events } from '../../unit/adapters/avro/arbitrary-events.ts'
import { type RegistryServer, startRegistry } from './registry-server.ts'

const request = requestedEvent({ requestedAt: 1_732_180_000_123 })
const settled = settledEvent(request)
const open = (server: RegistryServer, topicPrefix?: string) =>
  registeredAvroCodec({ registry: createSchemaRegistry(server.url), ...(topicPrefix ? { topicPrefix } : {}) })

/** What another producer writes, whose schema has one more field. */
function written(server: RegistryServer, more: { name: string; type: unknown }, value: unknown) {
  const schema = schemas['approval.settled']
  const newer = { ...schema, fields: [...schema.fields, more] }
  const id = server.add('approval.settled-value', newer)
  const prefix = Buffer.from([0, 0, 0, 0, id])
  const type = avsc.Type.forSchema(newer as Parameters<typeof avsc.Type.forSchema>[0])
  const { headers } = avroCodec().encode(settled, 'elsewhere')
  return { value: Buffer.concat([prefix, type.toBuffer({ ...settled.data, [more.name]: value })]), headers }
}

describe('events with a schema registry', () => {
  it('are registered under the names of their topics, compatible with all versions before', async () => {
    const server = await startRegistry()
    await open(server, 'team.')
    const subjects = TOPICS.map((topic) => `team.${topic}-value`)
    expect([...server.subjects.keys()]).toEqual(subjects)
    for (const { compatibility, ids } of server.subjects.values()) {
      expect(compatibility).toBe('BACKWARD_TRANSITIVE')
      expect(ids).toHaveLength(1)
    }
    await open(server, 'team.')
    for (const { ids } of server.subjects.values()) expect(ids).toHaveLength(1)
  })

  it('are in the wire format that other libraries read', async () => {
    const server = await startRegistry()
    const codec = await open(server)
    const { value, headers } = codec.encode(settled, 'decider')
    const [id] = server.subjects.get('approval.settled-value')?.ids ?? []
    expect([...value.subarray(0, 5)]).toEqual([0, 0, 0, 0, id])
    const type = avsc.Type.forSchema(schemas['approval.settled'] as Parameters<typeof avsc.Type.forSchema>[0])
    expect({ ...type.fromBuffer(Buffer.from(value.subarray(5))) }).toEqual(settled.data)
    expect(headers).toMatchObject({ ce_type: 'approval.settled', ce_source: 'decider' })
  })

  it('come back as they went in, without another call', async () => {
    const server = await startRegistry()
    const codec = await open(server)
    server.calls()
    fc.assert(
      fc.property(events, (event) => {
        const encoded = codec.encode(event, 'gate')
        expect(codec.prepare?.(event.topic, encoded)).toBeUndefined()
        expect(codec.decode(event.topic, encoded)).toStrictEqual({ ...event, source: 'gate' })
      }),
      { numRuns: 200 },
    )
    expect(server.calls()).toEqual([])
  })

  it('are read in single-object encoding too', async () => {
    const codec = await open(await startRegistry())
    const encoded = avroCodec().encode(settled, 'gate')
    expect(codec.prepare?.('approval.settled', encoded)).toBeUndefined()
    expect(codec.decode('approval.settled', encoded)).toEqual({ ...settled, source: 'gate' })
  })

  it('are read when a newer schema wrote them, which is looked up once', async () => {
    const server = await startRegistry()
    const codec = await open(server)
    const encoded = written(server, { name: 'region', type: 'string' }, 'eu')
    server.calls()
    await Promise.all([1, 2, 3].map(() => codec.prepare?.('approval.settled', encoded)))
    expect(server.calls()).toEqual([`GET /schemas/ids/${TOPICS.length + 1}`])
    expect(codec.prepare?.('approval.settled', encoded)).toBeUndefined()
    expect(codec.decode('approval.settled', encoded)).toEqual({ ...settled, source: 'elsewhere' })
    const own = codec.encode(settled, 'gate')
    expect(codec.decode('approval.settled', own)).toEqual({ ...settled, source: 'gate' })
  })

  it('with an id that nobody knows, or a schema of another kind, are refused', async () => {
    const server = await startRegistry()
    const codec = await open(server)
    const { headers } = codec.encode(settled, 'gate')
    const unknown = { value: Buffer.from([0, 0, 0, 1, 0, 1, 2, 3]), headers }
    await codec.prepare?.('approval.settled', unknown)
    expect(() => codec.decode('approval.settled', unknown)).toThrow('no Avro schema with the id 256')

    const withMap = written(server, { name: 'labels', type: { type: 'map', values: 'string' } }, { a: 'b' })
    await codec.prepare?.('approval.settled', withMap)
    expect(() => codec.decode('approval.settled', withMap)).toThrow(
      'cannot be read: the type of labels is not supported',
    )
  })

  it('wait while the registry is away, and are then read', async () => {
    const server = await startRegistry()
    const codec = await open(server)
    const encoded = written(server, { name: 'region', type: 'string' }, 'eu')
    server.fail = { status: 503, message: 'not now' }
    await expect(codec.prepare?.('approval.settled', encoded)).rejects.toMatchObject({ code: 'bus_unavailable' })
    server.fail = undefined
    await codec.prepare?.('approval.settled', encoded)
    expect(codec.decode('approval.settled', encoded).data).toEqual(settled.data)
  })

  it('cannot be written when the registry refuses their schema', async () => {
    const server = await startRegistry()
    server.fail = { status: 409, message: 'Schema being registered is incompatible' }
    await expect(open(server)).rejects.toThrow('409 Schema being registered is incompatible')
  })

  it.each([
    ['a wrong password', (url: string) => url.replace('p%40ss', 'secret')],
    ['nobody there', () => 'http://reader:secret@127.0.0.1:1/'],
  ])('tell of %s without the password', async (_, change) => {
    const server = await startRegistry()
    const registry = createSchemaRegistry(change(server.url))
    const error = await registry.find(1).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(Error)
    expect(String(error)).toContain('127.0.0.1')
    expect(String(error)).not.toContain('secret')
  })
})
