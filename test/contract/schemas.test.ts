import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ActorType, Via } from '../../lib/core/actor.ts'
import {
  type ActionSummary,
  type ApprovalDecide,
  type ApprovalDecided,
  type ApprovalEscalated,
  type ApprovalExpiring,
  type ApprovalRequested,
  type ApprovalSettled,
  type DecisionWord,
  ON_TIMEOUT,
  type Outcome,
  RISKS,
  type SettleOutcome,
  TOPICS,
  type TopicEvents,
} from '../../lib/core/events.ts'
import {
  type ArraySchema,
  type AvroSchema,
  type EnumSchema,
  published,
  type RecordSchema,
  schemas,
  topics,
} from '../../schemas/index.ts'
import { checkSchemas } from '../../scripts/schema-rules.ts'

describe('the schemas', () => {
  const checks = checkSchemas({ current: schemas, published })

  it.each(checks.map((check) => [check.schema, check.rule, check.version, check]))(
    '%s: %s (%s)',
    (_schema, _rule, _version, check) => {
      expect(check.problems).toEqual([])
    },
  )

  it('are those of the topics', () => {
    expect([...topics].sort()).toEqual([...TOPICS].sort())
  })

  it('define a type that several of them use everywhere alike', () => {
    const found = new Map<string, AvroSchema>()
    for (const schema of Object.values(schemas).flatMap(namedTypes)) {
      expect(schema).toEqual(found.get(schema.name) ?? schema)
      found.set(schema.name, schema)
    }
    expect(found.has('Actor')).toBe(true)
  })
})

/** One of everything, so that a field that is added to a type must be added here, and then to its schema. */
const actor = { id: 'cst_1', name: 'alice', type: 'user', via: 'slack' } as const
const requested: ApprovalRequested = {
  id: 'apr_1',
  tenant: 'default',
  agent: { id: 'csk_1', name: 'billing', session: 's', user: 'u' },
  action: {
    kind: 'tool',
    tool: 'stripe.refund',
    method: 'POST',
    target: '/v1/refunds',
    summary: 'refund',
    preview: '{}',
    previewTruncated: false,
    fingerprint: 'f',
  },
  rule: { id: 'big', revision: 'r', ids: ['big'], why: ['because'] },
  risk: 'high',
  approvers: ['alice'],
  requirements: [{ rule: 'big', anyOf: ['alice'], approve: 1 }],
  threshold: { approve: 1, deny: 1 },
  reasonRequired: ['deny'],
  holder: 'gate:1:1',
  keep: true,
  denialMemoryMs: 1,
  requestedAt: 1,
  timeoutMs: 1,
  findings: [{ detector: 'secrets', severity: 'high', message: 'm', path: 'args.a' }],
  suggestion: { by: 'judge', edits: '{}', reason: 'r' },
  escalation: [{ rule: 'big', afterMs: 1, approvers: ['bob'], channels: ['oncall'] }],
  onTimeout: 'escalate',
  warnAfterMs: 1,
  callback: 'https://agent.example/done',
}
const decide: ApprovalDecide = {
  commandId: 'c',
  id: 'apr_1',
  tenant: 'default',
  decision: 'approve',
  actor,
  reason: 'fine',
  edits: '{}',
  at: 1,
}
const decided: ApprovalDecided = {
  id: 'apr_1',
  tenant: 'default',
  outcome: 'approved',
  decidedBy: [actor],
  reason: 'fine',
  edited: true,
  decidedAt: 1,
  version: 2,
  fingerprint: 'f',
  historyHash: 'h',
}
const settled: ApprovalSettled = {
  id: 'apr_1',
  use: 1,
  tenant: 'default',
  outcome: 'executed',
  status: 200,
  detail: 'done',
  gate: 'gate',
  settledAt: 1,
  version: 3,
  historyHash: 'h',
}
const expiring: ApprovalExpiring = {
  id: 'apr_1',
  tenant: 'default',
  expiresAt: 1,
  version: 2,
  historyHash: 'h',
  at: 1,
}
const escalated: ApprovalEscalated = {
  id: 'apr_1',
  tenant: 'default',
  step: 1,
  approvers: ['alice'],
  requirements: [{ rule: 'big', anyOf: ['alice'], approve: 1 }],
  added: ['bob'],
  channels: ['oncall'],
  expiresAt: 1,
  version: 2,
  historyHash: 'h',
  at: 1,
}
const samples: TopicEvents = {
  'approval.requested': requested,
  'approval.decide': decide,
  'approval.decided': decided,
  'approval.settled': settled,
  'approval.expiring': expiring,
  'approval.escalated': escalated,
}

describe('the payloads of TypeScript', () => {
  it.each(topics)('%s have the fields of the schema, all of them and no others', (topic) => {
    expect(keysOf(samples[topic])).toEqual(fieldsOf(schemas[topic]))
  })

  it('have the same words', () => {
    const words = Object.values(schemas)
      .flatMap(namedTypes)
      .filter((schema) => schema.type === 'enum')
    expect(Object.fromEntries(words.map(({ name, symbols }) => [name, [...symbols].sort()]))).toEqual({
      ActionKind: every<ActionSummary['kind']>({ tool: 1, http: 1, mcp: 1, hook: 1 }),
      Risk: [...RISKS].sort(),
      DecisionWord: every<DecisionWord>({ approve: 1, deny: 1 }),
      Decision: every<ApprovalDecide['decision']>({ approve: 1, deny: 1, cancel: 1 }),
      ActorType: every<ActorType>({ user: 1, system: 1, agent: 1 }),
      Via: every<Via>({ http: 1, ws: 1, slack: 1, cli: 1, link: 1, topic: 1, grant: 1, sweeper: 1 }),
      Outcome: every<Outcome>({ approved: 1, denied: 1, expired: 1, cancelled: 1 }),
      OnTimeout: [...ON_TIMEOUT].sort(),
      SettleOutcome: every<SettleOutcome>({ executed: 1, failed: 1, not_executed: 1, unknown: 1 }),
    })
  })
})

describe('the documents list the fields', () => {
  const rowsIn = (path: string, topic: string) => {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
    const section = text.split(/^#+ /m).filter((part) => part.startsWith(`${topic}\n`))[0] ?? ''
    return section.split('\n').filter((line) => line.startsWith('| `'))
  }

  it.each(topics)('%s, with their words, in docs/reference/events.md', (topic) => {
    const rows = rowsIn('docs/reference/events.md', topic).map((row) => row.replace(/ \| .+? \| /, ' | '))
    expect(rows).toEqual(describedFields(schemas[topic]).map(({ path, doc }) => `| \`${path}\` | ${doc} |`))
  })

  it.each(topics)('%s in schemas/README.md', (topic) => {
    const paths = rowsIn('schemas/README.md', topic).map((row) => row.split('`')[1])
    expect(paths).toEqual(describedFields(schemas[topic]).map(({ path }) => path))
  })
})

describe('a word that the reader does not know', () => {
  it('is never an approval: no default approves, and neither does a zero', () => {
    for (const { name, symbols, default: fallback } of Object.values(schemas).flatMap(namedTypes).filter(isEnum)) {
      expect([fallback, symbols[0]], name).not.toContainEqual(expect.stringMatching(/^approve/))
    }
  })

  it('is no decision and no outcome at all, and a settlement as `unknown`', () => {
    const defaults = Object.fromEntries(
      Object.values(schemas)
        .flatMap(namedTypes)
        .filter(isEnum)
        .map((schema) => [schema.name, schema.default]),
    )
    expect(defaults).toMatchObject({ Risk: 'high', SettleOutcome: 'unknown' })
    expect([defaults.Decision, defaults.DecisionWord, defaults.Outcome]).toEqual([undefined, undefined, undefined])
  })
})

const isEnum = (schema: RecordSchema | EnumSchema): schema is EnumSchema => schema.type === 'enum'

/** The members of a union of words, sorted; one that is missing does not compile. */
const every = <T extends string>(words: Record<T, 1>): string[] => Object.keys(words).sort()

function namedTypes(schema: AvroSchema): (RecordSchema | EnumSchema)[] {
  if (typeof schema === 'string') return []
  if (Array.isArray(schema)) return schema.flatMap(namedTypes)
  switch (schema.type) {
    case 'record':
      return [schema, ...schema.fields.flatMap((field) => namedTypes(field.type))]
    case 'array':
      return namedTypes(schema.items)
    case 'enum':
      return [schema]
    default:
      return []
  }
}

/** The paths of every value in a sample, sorted. */
function keysOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysOf(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value)
    .flatMap(([key, inner]) => keysOf(inner, `${path}.${key}`))
    .sort()
}

/** The paths of every value that a schema describes, sorted. */
function fieldsOf(schema: AvroSchema, path = ''): string[] {
  if (Array.isArray(schema)) return schema.filter((branch) => branch !== 'null').flatMap((each) => fieldsOf(each, path))
  if (typeof schema === 'string') return [path]
  if (schema.type === 'array') return fieldsOf(schema.items, `${path}[]`)
  if (schema.type !== 'record') return [path]
  return schema.fields.flatMap((field) => fieldsOf(field.type, `${path}.${field.name}`)).sort()
}

/** Every field in order, with what its doc and that of its enum say. */
function describedFields(schema: AvroSchema, prefix = ''): { path: string; doc: string }[] {
  const type = inner(schema)
  if (typeof type !== 'object' || type.type !== 'record') return []
  return type.fields.flatMap((field) => {
    const fieldType = inner(field.type)
    const words = typeof fieldType === 'object' && fieldType.type === 'enum' ? ` ${fieldType.doc}` : ''
    const path = `${prefix}${field.name}`
    const list = typeof field.type === 'object' && 'items' in field.type ? '[]' : ''
    return [{ path, doc: `${field.doc}${words}` }, ...describedFields(field.type, `${path}${list}.`)]
  })
}

/** The type of a value that is there, or of a list's items. */
function inner(schema: AvroSchema): Exclude<AvroSchema, AvroSchema[] | ArraySchema> {
  if (Array.isArray(schema)) return inner(schema.find((branch) => branch !== 'null') ?? 'null')
  return typeof schema === 'object' && schema.type === 'array' ? inner(schema.items) : schema
}
