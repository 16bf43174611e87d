import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { STARTER_POLICY } from '../../lib/core/policy/starter.ts'
import { runExample } from '../support/example.ts'
import { scenario, startWorld } from '../support/server.ts'

/** A file of the examples, with what stands in place of environment and addresses. */
const fileOf = (path: string, replaced: Record<string, string> = {}) =>
  Object.entries(replaced).reduce(
    (text, [from, to]) => text.replaceAll(from, to),
    readFileSync(fileURLToPath(new URL(`../../examples/${path}`, import.meta.url)), 'utf8'),
  )

const node = (name: string, env: Record<string, string>) => runExample(process.execPath, `${name}.mjs`, env)

scenario(
  'the agent and the approver of the examples work with each other',
  async ({ url, agent, admin, caller }) => {
    const bob = await caller('bot', 'approver')
    const bot = node('approver-bot', { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: bob.secret })
    await bot.prints('watching')
    const example = node('guarded-agent', { COUNTERSIGN_URL: url, COUNTERSIGN_KEY: agent.secret })
    expect(await example.exited, example.output()).toBe(0)
    expect(example.output()).toMatch(/^waiting {2}apr_\w{26} {2}Bash {2}command="rm -rf .\/build"$/m)
    expect(example.output()).toContain('run      rm -rf ./build\n')
    expect(example.output()).toContain('refused  approval_denied\n')

    const { body } = await admin.send<{ items: object[] }>('GET', '/v1/approvals')
    expect(body.items).toMatchObject([
      { status: 'denied', action: { tool: 'crm.delete_user' }, decidedBy: [{ name: 'bot' }] },
      { status: 'settled', settlement: { outcome: 'executed' }, decidedBy: [{ name: 'bot' }] },
    ])
    await bot.prints('deny')
    bot.child.kill('SIGTERM')
    expect(await bot.exited).toBe(0)
  },
  { policy: STARTER_POLICY },
)

scenario(
  'the agent of the examples does what a person makes of its call',
  async ({ url, agent, admin }) => {
    const example = node('guarded-agent', { COUNTERSIGN_URL: url, COUNTERSIGN_KEY: agent.secret })
    const [bash] = await admin.pending()
    await admin.decide(bash?.id ?? '', 'approve', { edits: { command: 'rm -rf ./build/tmp' } })
    await example.prints('run      rm -rf ./build/tmp  (changed by a person)')
    const [user] = await admin.pending()
    await admin.decide(user?.id ?? '', 'approve')
    await example.prints('run      would delete user 7')
    expect(await example.exited).toBe(0)
    expect(await admin.record(user?.id ?? '')).toMatchObject({ status: 'settled' })
  },
  { policy: STARTER_POLICY },
)

scenario(
  'the agent of the AI SDK runs what a person made of its call, and reads so; a denial it reads too',
  async ({ url, agent, admin }) => {
    const start = () => node('ai-sdk-agent', { COUNTERSIGN_URL: url, COUNTERSIGN_KEY: agent.secret })
    const edited = start()
    await edited.prints('waiting  apr_')
    const [first] = await admin.pending()
    await admin.decide(first?.id ?? '', 'approve', { edits: { command: 'rm -rf ./build/tmp' } })
    expect(await edited.exited, edited.output()).toBe(0)
    expect(edited.output()).toMatch(/I was told: would run rm -rf \.\/build\/tmp\n\n.*changed its arguments/)
    expect(await admin.record(first?.id ?? '')).toMatchObject({ settlement: { outcome: 'executed' } })

    const denied = start()
    const [second] = await admin.pending()
    await admin.decide(second?.id ?? '', 'deny', { reason: 'build again' })
    expect(await denied.exited, denied.output()).toBe(0)
    expect(denied.output()).toMatch(/I was told: .*was not run.*"build again"/)
  },
  { policy: STARTER_POLICY },
)

test('the agent behind the proxy pays what a person approves, without the credential', async () => {
  const bank = node('proxy/bank', { BANK_TOKEN: 'token-of-the-bank', PORT: '0' })
  await bank.prints('listening on http')
  const [address = ''] = /http:\/\/\S+/.exec(bank.output()) ?? []
  const world = await startWorld({
    policy: fileOf('proxy/policy.yaml'),
    config: fileOf('proxy/countersign.yaml', {
      'http://127.0.0.1:4300': address,
      ['$' + '{BANK_TOKEN}']: 'token-of-the-bank',
    }),
  })
  const start = () => node('proxy/agent', { COUNTERSIGN_URL: world.url, COUNTERSIGN_KEY: world.agent.secret })
  const paying = start()
  const [first] = await world.admin.pending()
  await world.admin.decide(first?.id ?? '', 'approve', { edits: { amount: 20 } })
  expect(await paying.exited, paying.output()).toBe(0)
  expect(paying.output()).toContain('GET /balance  200  {"balance":1000}\n')
  expect(paying.output()).toContain('POST /payments  201  {"paid":20,"to":"c1","balance":980}\n')
  await bank.prints('paid     20 to c1')

  const refused = start()
  const [second] = await world.admin.pending()
  await world.admin.decide(second?.id ?? '', 'deny')
  expect(await refused.exited, refused.output()).toBe(0)
  expect(refused.output()).toContain('POST /payments  403  approval_denied\nGET /balance  200  {"balance":980}\n')
})

test('the MCP client writes what a person approves', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-files-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const world = await startWorld({
    policy: fileOf('mcp/policy.yaml'),
    config: fileOf('mcp/countersign.yaml', { ['$' + '{FILES}']: folder }),
  })
  const client = node('mcp/client', { COUNTERSIGN_URL: world.url, COUNTERSIGN_KEY: world.agent.secret })
  const [pending] = await world.admin.pending()
  expect(readdirSync(folder)).toEqual([])
  await world.admin.decide(pending?.id ?? '', 'approve', { edits: { content: 'Hello from a person!\n' } })
  expect(await client.exited, client.output()).toBe(0)
  expect(client.output()).toMatch(/^tools {4}.*read_text_file.*write_file/m)
  expect(client.output()).toMatch(/^done {5}write_file/m)
  expect(client.output()).toMatch(/^done {5}read_text_file {2}Hello from a person!/m)
  expect(readFileSync(join(folder, 'hello.txt'), 'utf8')).toBe('Hello from a person!\n')
})

test.each([
  ['guarded-agent', 'COUNTERSIGN_KEY'],
  ['approver-bot', 'COUNTERSIGN_TOKEN'],
  ['ai-sdk-agent', 'COUNTERSIGN_KEY'],
  ['proxy/agent', 'COUNTERSIGN_KEY'],
  ['proxy/bank', 'BANK_TOKEN'],
  ['mcp/client', 'COUNTERSIGN_KEY'],
])('%s says that it needs %s', async (name, variable) => {
  const example = node(name, {})
  expect(await example.exited).toBe(2)
  expect(example.output()).toContain(`Set ${variable}`)
})
