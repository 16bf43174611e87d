import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { type Caller, scenario, startWorld } from '../support/server.ts'

type Schema = Record<string, unknown>
interface Media {
  schema?: Schema
}
interface Operation {
  summary?: string
  tags?: string[]
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description?: string; content?: Record<string, Media> }>
}
interface Document {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
  components: { securitySchemes: Record<string, unknown>; schemas?: unknown }
  security: Record<string, string[]>[]
}

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/
const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true, formats: { 'date-time': DATE_TIME } })

const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'trace']

const documentOf = async (caller: Caller): Promise<Document> =>
  (await caller.send<Document>('GET', '/openapi.json')).body

const operationsOf = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation, name: `${method} ${path}` })),
  )

/** The same schema, in which a field that it does not name is a fault. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]))
  const named = Object.keys((copy.properties as object | undefined) ?? {})
  return named.length > 0 && copy.type === 'object' && !('additionalProperties' in copy)
    ? { ...copy, additionalProperties: false }
    : copy
}

scenario('the document is OpenAPI 3.1 with a summary for every route', async ({ admin }) => {
  const document = await documentOf(admin)
  expect(document.openapi).toMatch(/^3\.1\.\d+$/)
  expect(document.info).toMatchObject({ title: 'Countersign', version: expect.stringMatching(/^\d+\.\d+\.\d+/) })
  expect(JSON.stringify(document)).not.toContain('"$ref"')
  const schemes = Object.keys(document.components.securitySchemes)
  for (const requirement of document.security) expect(schemes).toEqual(expect.arrayContaining(Object.keys(requirement)))

  const operations = operationsOf(document)
  expect(operations.length).toBeGreaterThan(10)
  for (const { path, method, operation, name } of operations) {
    expect(METHODS, name).toContain(method)
    expect(operation.summary, name).toMatch(/^[A-Z].+[^.]$/)
    const { parameters = [] } = operation
    const keys = parameters.map((parameter) => `${parameter.in} ${parameter.name}`)
    expect(new Set(keys).size, name).toBe(keys.length)
    const inPath = parameters.filter((parameter) => parameter.in === 'path')
    expect(inPath.map((parameter) => parameter.name).sort(), name).toEqual(
      [...path.matchAll(/\{([^}]+)\}/g)].map(([, key]) => key).sort(),
    )
    expect(
      inPath.every(({ required }) => required),
      name,
    ).toBe(true)
    // What our own services ask each other answers whole records, and is no contract.
    if (!operation.tags?.includes('internal')) expect(Object.keys(operation.responses), name).toContain('default')
    for (const [status, response] of Object.entries(operation.responses)) {
      expect(status, name).toMatch(/^([1-5]\d\d|default)$/)
      expect(response.description, `${name} ${status}`).toEqual(expect.any(String))
    }
  }
})

scenario('every schema of the document is one of JSON Schema 2020-12', async ({ admin }) => {
  const medias = operationsOf(await documentOf(admin)).flatMap(({ name, operation }) => [
    ...(operation.parameters ?? []).map((parameter) => ({ name: `${name} ${parameter.name}`, media: parameter })),
    ...[operation.requestBody, ...Object.values(operation.responses)].flatMap((body) =>
      Object.values(body?.content ?? {}).map((media) => ({ name, media })),
    ),
  ])
  for (const { name, media } of medias) {
    expect(media.schema, name).toBeTypeOf('object')
    expect(() => ajv.compile(media.schema ?? {}), name).not.toThrow()
  }
})

test('real answers are what the document promises', async () => {
  const { admin, agent, caller } = await startWorld()
  const document = await documentOf(admin)
  const observer = await caller('olga', 'observer')
  const bob = await caller('bob', 'approver')

  /** Sends a request, and checks the status and that the answer has the schema of its route. */
  async function check(
    by: Caller,
    request: string,
    status: number,
    options: Parameters<Caller['send']>[2] = {},
    url = request.split(' ')[1] ?? '',
  ) {
    const [method = '', template = ''] = request.split(' ')
    const answer = await by.send<Record<string, unknown> & { id: string; approvalId: string }>(method, url, options)
    expect(answer.status, `${request}: ${JSON.stringify(answer.body)}`).toBe(status)
    const operation = document.paths[template]?.[method.toLowerCase()]
    const response = operation?.responses[status] ?? operation?.responses.default
    const type = answer.headers.get('content-type')?.split(';')[0] ?? ''
    if (status === 204) return answer
    const schema = response?.content?.[type]?.schema
    expect(schema, `${request} ${status} ${type}`).toBeDefined()
    const validate = ajv.compile(closed(schema) as Schema)
    validate(answer.body)
    expect(validate.errors, `${request} ${status}: ${JSON.stringify(answer.body)}`).toBeNull()
    return answer
  }
  const ask = (by: Caller, tool: string, status: number, headers: Record<string, string> = {}, args: unknown = {}) =>
    check(by, 'POST /v1/actions', status, { body: { tool, args, context: { session: 's', user: 'u' } }, headers })
  const later = { prefer: 'respond-async' }

  await ask(agent, 'free.tool', 200)
  const { approvalId: id } = (await ask(agent, 'stripe.refund', 202, later, { amount: 5000 })).body
  await check(agent, 'GET /v1/actions/{id}', 200, {}, `/v1/actions/${id}`)
  await check(admin, 'GET /v1/approvals', 200)
  await check(observer, 'GET /v1/approvals/pending', 200)
  await check(admin, 'GET /v1/approvals/{id}', 200, {}, `/v1/approvals/${id}`)
  const decision = (by: Caller, of: string, status: number, body: unknown) =>
    check(by, 'POST /v1/approvals/{id}/decision', status, { body }, `/v1/approvals/${of}/decision`)
  await decision(admin, id, 200, { decision: 'approve', reason: 'half', edits: { amount: 2500 } })
  await ask(agent, 'stripe.refund', 200, {}, { amount: 5000 })
  await check(
    agent,
    'POST /v1/actions/{id}/outcome',
    200,
    { body: { status: 'executed', detail: 'done' } },
    `/v1/actions/${id}/outcome`,
  )
  const settled = await check(admin, 'GET /v1/approvals/{id}', 200, {}, `/v1/approvals/${id}`)
  expect(settled.body).toMatchObject({ status: 'settled', edited: true, history: { length: 4 } })

  const { approvalId: two } = (await ask(agent, 'two.people', 202, later)).body
  await decision(admin, two, 200, { decision: 'approve' })
  await decision(bob, two, 200, { decision: 'deny', reason: 'no' })
  const { approvalId: other } = (await ask(agent, 'stripe.refund', 202, later, { amount: 1 })).body
  const batch = { ids: [two, other, 'apr_00000000000000000000000000'], decision: 'approve' }
  const { body } = await check(admin, 'POST /v1/approvals/decisions', 200, { body: batch })
  expect(body.results).toMatchObject([{ ok: false }, { ok: true }, { ok: false }])
  await check(admin, 'POST /v1/approvals/expire', 200, { body: { allStale: true } })
  const { approvalId: third } = (await ask(agent, 'kept.x', 202, later)).body
  await check(agent, 'DELETE /v1/actions/{id}', 200, {}, `/v1/actions/${third}`)

  await check(admin, 'POST /v1/session', 200, { body: { token: admin.secret } })
  await check(agent, 'GET /v1/session', 200)
  await check(admin, 'POST /v1/stream/ticket', 200)
  await check(admin, 'DELETE /v1/session', 204)

  const hook = 'POST /v1/webhooks'
  const { id: hookId } = (await check(admin, hook, 201, { body: { url: 'https://example.invalid', risks: ['low'] } }))
    .body
  const at = (rest = '') => `/v1/webhooks/${hookId}${rest}`
  await check(admin, 'GET /v1/webhooks', 200)
  await check(admin, 'GET /v1/webhooks/{id}', 200, {}, at())
  await check(admin, 'PATCH /v1/webhooks/{id}', 200, { body: { description: 'ops' } }, at())
  await check(admin, 'POST /v1/webhooks/{id}/rotate', 200, { body: {} }, at('/rotate'))
  await check(admin, 'POST /v1/webhooks/{id}/enable', 200, {}, at('/enable'))
  const { id: sent } = (await check(admin, 'POST /v1/webhooks/{id}/test', 202, {}, at('/test'))).body
  const replay = 'POST /v1/webhooks/{id}/deliveries/{deliveryId}/replay'
  await check(admin, replay, 200, {}, at(`/deliveries/${sent}/replay`))
  await check(admin, replay, 404, {}, at('/deliveries/dlv_nothing/replay'))
  await check(admin, 'GET /v1/webhooks/{id}/deliveries', 200, {}, at('/deliveries'))
  const since = { since: '2026-01-01T00:00:00Z' }
  await check(admin, 'POST /v1/webhooks/{id}/replay', 200, { body: since }, at('/replay'))
  await check(observer, 'GET /v1/webhooks', 403)
  await check(admin, hook, 422, { body: { url: 'nonsense' } })
  await check(admin, 'DELETE /v1/webhooks/{id}', 204, {}, at())
  await check(admin, 'GET /v1/webhooks/{id}', 404, {}, at())

  await ask(agent, 'never.x', 403)
  await ask(admin, 'free.tool', 403)
  await check(agent, 'POST /v1/actions', 422, { body: { tol: 'x' } })
  await check(agent, 'POST /v1/actions', 415, { text: 'x', headers: { 'content-type': 'text/plain' } })
  await check(admin, 'GET /v1/approvals/{id}', 404, {}, '/v1/approvals/apr_nothing')
  await check(admin, 'GET /v1/approvals', 400, {}, '/v1/approvals?limit=0')
  await decision(admin, two, 409, { decision: 'approve' })
  await decision(observer, two, 403, { decision: 'approve' })
  await check(admin, 'POST /v1/session', 401, { body: { code: 'used-up-long-ago' } })
}, 20_000)
