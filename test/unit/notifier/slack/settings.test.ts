import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readSlackSettings } from '../../../../lib/runtime/config/slack.ts'
import { ConfigError, loadConfig } from '../../../../lib/runtime/config.ts'

/** `slack` of a file with this text, or what is wrong with it. */
function read(text: string) {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-slack-config-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'countersign.yaml')
  writeFileSync(file, text)
  try {
    return loadConfig({ file, env: {} }).slack
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** What is wrong with the environment beside this section. */
function faults(text: string, env: Record<string, string>) {
  const config = read(text)
  if (Array.isArray(config)) throw new Error(config.join(', '))
  const problems: string[] = []
  const settings = readSlackSettings(config as Exclude<typeof config, readonly string[]>, env, problems)
  return { problems, settings }
}

const BOT = { SLACK_BOT_TOKEN: 'xoxb-1' }
const SIGNING_SECRET = 's'.repeat(32)

it('has defaults for all but the channel', () => {
  expect(read('{}')).toBeUndefined()
  expect(read('slack: { channel: C0123456789 }')).toEqual({
    channel: 'C0123456789',
    users: new Map(),
    routes: [],
    mode: 'decide',
    tenant: 'default',
    apiUrl: 'https://slack.com/api/',
    apiTimeoutMs: 5_000,
  })
  expect(read('slack: { channel: "#ops", apiUrl: "http://127.0.0.1:1/api", apiTimeout: 2s }')).toMatchObject({
    apiUrl: 'http://127.0.0.1:1/api/',
    apiTimeoutMs: 2_000,
  })
})

it.each([
  ['channel: general', 'slack.channel must match pattern'],
  ['users: { alice: U0123 }', 'slack.users must NOT have additional properties (alice)'],
  ['users: { U0123: "a b" }', 'slack.users.U0123 must match pattern'],
  ['mode: silent', 'slack.mode must be equal to constant'],
  ['token: xoxb-secret', 'slack must NOT have additional properties (token)'],
  ['routes: [ { rules: [a] } ]', "slack.routes.0 must have required property 'channel'"],
  ['routes: [ { rules: ["a?"], channel: "#b" } ]', 'slack.routes.0: "?" has no meaning in a glob'],
  ['apiTimeout: 1m', 'slack.apiTimeout must be between 100ms and 30s'],
])('%s is a fault', (section, fault) => {
  expect(read(`slack: { ${section} }`)).toContainEqual(expect.stringContaining(fault))
})

it.each([
  [
    'nothing',
    {},
    ['SLACK_BOT_TOKEN is missing', 'SLACK_SIGNING_SECRET is missing (or SLACK_APP_TOKEN, for Socket Mode)'],
  ],
  ['no way in', BOT, ['SLACK_SIGNING_SECRET is missing (or SLACK_APP_TOKEN, for Socket Mode)']],
  ['a signing secret', { ...BOT, SLACK_SIGNING_SECRET: SIGNING_SECRET }, []],
  ['Socket Mode', { ...BOT, SLACK_APP_TOKEN: 'xapp-1', SLACK_SIGNING_SECRET: '' }, []],
  [
    'the wrong ones',
    { SLACK_BOT_TOKEN: 'xapp-1', SLACK_APP_TOKEN: 'xoxb-1', SLACK_SIGNING_SECRET: 'short' },
    [
      'SLACK_BOT_TOKEN must be a bot token (xoxb-…)',
      'SLACK_APP_TOKEN must be an app-level token (xapp-…)',
      'SLACK_SIGNING_SECRET must be 16 to 256 visible characters',
    ],
  ],
])('the environment with %s', (_, env, problems) => {
  expect(faults('slack: { channel: "#ops" }', env as Record<string, string>).problems).toEqual(problems)
})

it('only the bot token is needed to notify, and nothing without a section', () => {
  expect(faults('slack: { channel: "#ops", mode: notify-only }', BOT)).toMatchObject({
    problems: [],
    settings: { signingSecret: undefined, appToken: undefined },
  })
  expect(faults('{}', {})).toEqual({ problems: [], settings: undefined })
})
