import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import { avroCodec } from '../../lib/adapters/avro/event-codec.ts'
import { deadLetterOf, noteOf } from '../../lib/adapters/kafka/dead-letter.ts'
import { topicNames } from '../../lib/adapters/kafka/topics.ts'
import { type DomainEvent, TOPICS, Topic } from '../../lib/core/events.ts'
import { isApprovalId } from '../../lib/core/ids.ts'
import { createApproval } from '../../lib/core/transition.ts'
import { loadConfig } from '../../lib/runtime/config.ts'
import { schemas } from '../../schemas/index.ts'
import { approved, decideEvent, requestedEvent, settledEvent, stepped } from '../support/approvals.ts'

interface Reference {
  $ref: string
}
interface Document {
  channels: Record<string, { address: string; messages: Record<string, Reference> }>
  operations: Record<string, { action: 'send' | 'receive'; channel: Reference; tags: { name: string }[] }>
  components: {
    messages: Record<string, { headers: object; payload?: { schemaFormat: string; schema: Reference } }>
    schemas: Record<string, { properties: Record<string, object> }>
  }
}

const FILE = new URL('../../schemas/asyncapi.yaml', import.meta.url)
const document = parse(readFileSync(FILE, 'utf8')) as Document
const { channels, operations, components } = document
const names = topicNames()
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/

/** Every `$ref` of a part. */
function references(part: unknown): string[] {
  if (typeof part !== 'object' || part === null) return []
  return Object.entries(part).flatMap(([key, value]) =>
    key === '$ref' && typeof value === 'string' ? [value] : references(value),
  )
}

/** What stands at a `$ref` into the document itself; undefined where nothing does. */
const at = (reference: string): unknown =>
  reference
    .slice('#/'.length)
    .split('/')
    .reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], document)

/** Checks headers against their schema, in which a header that it does not name is a fault. */
function faultsOf(headers: Record<string, string>, schema: object): unknown {
  const ajv = new Ajv({ strict: false, allErrors: true, formats: { 'date-time': DATE_TIME } })
  const named = { ...schema, components }
  const described = references(schema)
    .concat('')
    .flatMap((reference) => {
      const part = reference === '' ? schema : at(reference)
      return Object.keys((part as { properties?: object }).properties ?? {})
    })
  expect(Object.keys(headers).filter((name) => !described.includes(name))).toEqual([])
  ajv.validate(named, headers)
  return ajv.errors
}

test('the document is AsyncAPI 3.0, by its own JSON Schema', () => {
  const file = fileURLToPath(import.meta.resolve('@asyncapi/specs/schemas/3.0.0-without-$id.json'))
  const ajv = new Ajv({ strict: false, validateFormats: false })
  const validate = ajv.compile(JSON.parse(readFileSync(file, 'utf8')))
  validate(document)
  expect(validate.errors).toBeNull()
})

test('every reference leads somewhere, and every schema file is used', () => {
  const all = references(document)
  expect(all.filter((reference) => reference.startsWith('#/') && at(reference) === undefined)).toEqual([])
  const files = all.filter((reference) => !reference.startsWith('#/'))
  expect(files.filter((file) => !existsSync(new URL(file, FILE)))).toEqual([])
  const avsc = readdirSync(new URL('.', FILE)).filter((name) => name.endsWith('.avsc'))
  expect(files.sort()).toEqual(avsc.map((name) => `./${name}`).sort())
})

test('its version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(document).toMatchObject({ info: { version } })
})

test('the channels are the topics of the bus and their dead letters', () => {
  const addresses = Object.values(channels).map(({ address }) => address)
  expect(addresses.sort()).toEqual(TOPICS.flatMap((topic) => [names.kafkaName(topic), names.deadLetters(topic)]).sort())
})

test('topics are made as their bindings say, unless the configuration says otherwise', () => {
  const { topics, retention } = loadConfig({ file: fileURLToPath(new URL('none.yaml', FILE)), env: {} })
  expect(at('#/components/channelBindings/events/kafka')).toMatchObject({
    partitions: topics.partitions,
    replicas: topics.replicationFactor,
    topicConfiguration: { 'retention.ms': retention.eventsMs },
  })
})

const request = requestedEvent({
  warnAfterMs: 1_000,
  escalation: [{ rule: 'big-refund', afterMs: 2_000, approvers: ['group:managers'], channels: ['oncall'] }],
})
const warned = stepped(createApproval(request.data, request.at), { type: 'timeout' }, request.at + 1_000)
const { outbox } = approved(stepped(warned, { type: 'timeout' }, request.at + 2_000), request.at + 3_000)
const samples = new Map<Topic, DomainEvent>(
  [request, decideEvent(request), ...outbox, settledEvent(request)].map((event) => [event.topic, event]),
)

describe.each(TOPICS)('a message of %s', (topic) => {
  const sample = samples.get(topic)!
  const [channel] = Object.values(channels).filter(({ address }) => address === topic)
  const [reference] = Object.values(channel?.messages ?? {})
  const message = at(reference?.$ref ?? '') as Document['components']['messages'][string]
  const { headers } = avroCodec().encode(sample, 'decider')

  it('has the headers that are described, and they all', () => {
    expect(faultsOf(headers, message.headers)).toBeNull()
    expect(Object.keys(components.schemas.cloudEvent?.properties ?? {}).sort()).toEqual(Object.keys(headers).sort())
    expect(faultsOf({ ...headers, ce_type: 'approval.other' }, message.headers)).not.toBeNull()
  })

  it('cannot be read without the headers that are required', () => {
    const { required } = components.schemas.cloudEvent as unknown as { required: string[] }
    const { value } = avroCodec().encode(sample, 'decider')
    const isRead = (name: string) => {
      try {
        return avroCodec().decode(topic, { value, headers: { ...headers, [name]: '' } }) !== undefined
      } catch {
        return false
      }
    }
    expect(
      Object.keys(headers)
        .filter((name) => !isRead(name))
        .sort(),
    ).toEqual([...required].sort())
  })

  it('has the schema of its topic, and the approval id as its key', () => {
    const { schema } = message.payload ?? { schema: { $ref: '' } }
    expect(JSON.parse(readFileSync(new URL(schema.$ref, FILE), 'utf8'))).toEqual(schemas[topic])
    const { key } = at('#/components/messageBindings/byApproval/kafka') as { key: { pattern: string } }
    const { id } = sample.data
    for (const text of [id, id.toUpperCase(), `${id}0`, 'apr_1'])
      expect(new RegExp(key.pattern).test(text)).toBe(isApprovalId(text))
  })
})

test('dead letters and their notes have the headers that are described', () => {
  const message = { key: null, value: null, timestamp: '0', attributes: 0, offset: '7', headers: {} }
  const received = { topic: Topic.decide, partition: 'approval.decide/3', offset: 7, message }
  const letter = deadLetterOf(received, new Error('no such tenant'), 'decider').headers
  const note = noteOf([7, 8]).headers
  for (const [name, headers] of Object.entries({ deadLetter: letter, deadLetterNote: note })) {
    const described = components.schemas[name] ?? { properties: {} }
    expect(faultsOf(headers as Record<string, string>, described)).toBeNull()
    expect(Object.keys(described.properties).sort()).toEqual(Object.keys(headers).sort())
  }
})

/** The source of a folder, or of a file. */
function sourceOf(path: string): string {
  const url = new URL(`../../${path}`, import.meta.url)
  if (path.endsWith('.ts')) return readFileSync(url, 'utf8')
  const files = readdirSync(url, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return files.map((name) => sourceOf(`${path}/${name}`)).join('\n')
}

describe.each(['gate', 'notifier', 'decider'])('the %s', (service) => {
  const done = (action: 'send' | 'receive') =>
    Object.values(operations)
      .filter((operation) => operation.action === action && operation.tags.some(({ name }) => name === service))
      .map(({ channel }) => (at(channel.$ref) as { address: string }).address)
  const named = (text: string) =>
    [...text.matchAll(/Topic\.(\w+)/g)].map(([, name]) => Topic[name as keyof typeof Topic])

  it('receives what it subscribes to', () => {
    const lists = [...sourceOf(`services/${service}`).matchAll(/topics: \[([^\]]*)\]/g)]
    // The notifier reads the same topics twice: all of it for its streams, its share for deliveries.
    const subscribed = new Set(lists.flatMap(([, list = '']) => named(list)))
    expect(done('receive').sort()).toEqual([...subscribed].sort())
  })

  it('sends what it makes events of', () => {
    // The decider's events come from the outbox, where `transition` puts them.
    const source = sourceOf(`services/${service}`) + (service === 'decider' ? sourceOf('lib/core/transition.ts') : '')
    const made = [...source.matchAll(/topic: (Topic\.\w+)/g)].flatMap(([, topic = '']) => named(topic))
    expect(done('send').sort()).toEqual([...new Set(made)].sort())
  })
})
