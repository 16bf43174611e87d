import { expect, test } from 'vitest'
import { STARTER_POLICY } from '../../lib/core/policy/starter.ts'
import { runExample } from '../support/example.ts'
import { scenario } from '../support/server.ts'

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

test.each([
  ['guarded-agent', 'COUNTERSIGN_KEY'],
  ['approver-bot', 'COUNTERSIGN_TOKEN'],
])('%s says that it needs %s', async (name, variable) => {
  const example = node(name, {})
  expect(await example.exited).toBe(2)
  expect(example.output()).toContain(`Set ${variable}`)
})
