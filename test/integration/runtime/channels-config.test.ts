import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, test } from 'vitest'
import { ConfigError, loadConfig } from '../../../lib/runtime/config.ts'
import { LOOPBACK_CERTIFICATE } from '../../support/loopback-certificate.ts'

function load(yaml: string, env: NodeJS.ProcessEnv = {}) {
  const root = mkdtempSync(join(tmpdir(), 'countersign-config-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const file = join(root, 'countersign.yaml')
  writeFileSync(file, yaml)
  return loadConfig({ file, env })
}

const channels = (entry: string, env?: NodeJS.ProcessEnv) => load(`channels:\n  - ${entry}\n`, env).channels

function problemsOf(yaml: string): readonly string[] {
  try {
    load(yaml)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

it('reads every type, with its defaults', () => {
  const usual = {
    events: ['approval.requested', 'approval.decided', 'approval.expiring', 'approval.escalated'],
    risks: [],
    tools: [],
    rules: [],
  }
  expect(
    channels(
      '{ id: mail, type: email, smtp: { host: m.example.com }, from: "Us <c@example.com>", to: [a@example.com] }',
    ),
  ).toEqual([
    {
      id: 'mail',
      type: 'email',
      tenant: 'default',
      filter: usual,
      smtp: { host: 'm.example.com', port: 587, security: 'starttls', login: undefined, ca: undefined },
      from: { name: 'Us', address: 'c@example.com' },
      to: ['a@example.com'],
    },
  ])
  expect(channels('{ id: phone, type: ntfy, topic: approvals }')).toEqual([
    {
      id: 'phone',
      type: 'ntfy',
      tenant: 'default',
      filter: usual,
      url: 'https://ntfy.sh',
      topic: 'approvals',
      token: undefined,
      priority: { low: 2, medium: 3, high: 4, critical: 5 },
    },
  ])
  expect(channels('{ id: home, type: gotify, url: "http://g.lan", token: A, priority: { high: 9 } }')).toMatchObject([
    { type: 'gotify', url: 'http://g.lan', token: 'A', priority: { low: 2, medium: 5, high: 9, critical: 10 } },
  ])
  expect(
    channels(
      `{ id: team, type: teams, url: "\${HOOK}", events: [approval.settled], risks: [high], tools: ["a.*"], rules: [b], tenant: acme }`,
      { HOOK: 'https://t.example.com/x?sig=y' },
    ),
  ).toEqual([
    {
      id: 'team',
      type: 'teams',
      url: 'https://t.example.com/x?sig=y',
      tenant: 'acme',
      filter: { events: ['approval.settled'], risks: ['high'], tools: ['a.*'], rules: ['b'] },
    },
  ])
  expect(channels('{ id: guild, type: discord, url: "https://d.example.com/api/webhooks/1/x" }')).toHaveLength(1)
})

test.each([
  ['{ host: m, port: 465 }', { port: 465, security: 'tls' }],
  ['{ host: m, secure: tls }', { port: 465, security: 'tls' }],
  ['{ host: m, port: 2525 }', { port: 2525, security: 'starttls' }],
  ['{ host: m, secure: none }', { port: 25, security: 'none' }],
  ['{ host: m, user: u, password: p }', { port: 587, login: { user: 'u', password: 'p' } }],
  [`{ host: m, ca: ${JSON.stringify(LOOPBACK_CERTIFICATE)} }`, { ca: LOOPBACK_CERTIFICATE }],
])('smtp: %s', (smtp, expected) => {
  const [mail] = channels(`{ id: mail, type: email, smtp: ${smtp}, from: c@example.com, to: [a@example.com] }`)
  expect(mail).toMatchObject({ smtp: expected, from: { name: '', address: 'c@example.com' } })
})

const mail = (more: string) =>
  `{ id: x, type: email, smtp: { host: m }, from: c@example.com, to: [a@example.com], ${more} }`

test.each([
  ['{ id: x, type: carrier-pigeon-s3cret }', 'channels.0 value of tag "type"'],
  ['{ id: x }', "channels.0 must have required property 'type'"],
  ['{ id: "a b", type: discord, url: "https://s3cret" }', 'channels.0.id must match pattern'],
  ['{ id: x, type: discord, url: "ftp://s3cret" }', 'channels.0.url must be'],
  ['{ id: x, type: teams, url: "https://u:s3cret@t.example.com" }', 'channels.0.url must be'],
  ['{ id: x, type: teams, url: s3cret, topic: y }', 'channels.0 must NOT have additional properties (topic)'],
  ['{ id: x, type: ntfy, topic: "s3cret/b" }', 'channels.0.topic must match pattern'],
  ['{ id: x, type: ntfy, topic: t, url: "https://n.example.com/s3cret" }', 'channels.0.url must be the address'],
  ['{ id: x, type: ntfy, topic: t, token: "s3cret\\r\\nX: y" }', 'channels.0.token must match pattern'],
  ['{ id: x, type: ntfy, topic: t, priority: { high: 6 } }', 'channels.0.priority.high must be <= 5'],
  ['{ id: x, type: ntfy, topic: t, events: [s3cret] }', 'channels.0.events.0 must be equal to one of'],
  ['{ id: x, type: ntfy, topic: t, tools: ["s3cret?"] }', 'channels.0.tools.0: "?" has no meaning'],
  ['{ id: x, type: gotify, url: "https://g.example.com" }', "channels.0 must have required property 'token'"],
  [
    '{ id: x, type: gotify, url: "https://g.example.com/?token=s3cret", token: a }',
    'channels.0.url must be the address',
  ],
  [mail('to: []').replace('to: [a@example.com], ', ''), 'channels.0.to must NOT have fewer than 1 items'],
  [
    '{ id: x, type: email, smtp: { host: m }, from: "c@example.com\\r\\nBcc: s3cret@example.com", to: [a@example.com] }',
    'channels.0.from must match pattern',
  ],
  [
    '{ id: x, type: email, smtp: { host: m }, from: c@example.com, to: ["a@example.com, s3cret@example.com"] }',
    'channels.0.to.0 must match pattern',
  ],
  [
    '{ id: x, type: email, smtp: { host: m, ca: s3cret }, from: c@example.com, to: [a@example.com] }',
    'channels.0.smtp.ca must be certificates as PEM',
  ],
  [
    '{ id: x, type: email, smtp: { host: m, password: s3cret }, from: c@example.com, to: [a@example.com] }',
    'channels.0.smtp must have user and password both',
  ],
  [
    '{ id: x, type: email, smtp: { host: m, secure: none, user: u, password: s3cret }, from: c@example.com, to: [a@example.com] }',
    'channels.0.smtp.password must not go over a connection without TLS',
  ],
])('%s is refused by name, and never with its value', (entry, problem) => {
  const problems = problemsOf(`channels:\n  - ${entry}\n`)
  expect(
    problems.some((each) => each.includes(problem)),
    problems.join('\n'),
  ).toBe(true)
  expect(problems.join('\n')).not.toContain('s3cret')
})

it('tells every fault at once', () => {
  const entry = '{ id: x, type: teams, url: "ftp://a", tools: ["?"] }'
  expect(problemsOf(`channels:\n  - ${entry}\n  - ${entry}\n`)).toHaveLength(5)
})

it('takes an id once among channels and webhooks', () => {
  const twice = problemsOf('channels: [{ id: x, type: ntfy, topic: a }, { id: x, type: ntfy, topic: b }]')
  expect(twice).toEqual(['channels must not use an id twice'])
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  const shared = problemsOf(`
webhooks: [{ id: x, url: "https://w.example.com", secret: "${secret}" }]
channels: [{ id: x, type: ntfy, topic: a }]
`)
  expect(shared).toEqual(['webhooks and channels must not share an id: escalation steps name both'])
})
