import { expect, test } from 'vitest'
import { refusal, serve, view } from '../sdk/fixture.ts'
import { countersign, ownerAt } from './fixture.ts'

test('help says what there is, with examples; the version is the package’s', async () => {
  const help = await countersign('--help')
  expect(help).toMatchObject({ exit: 0, err: '' })
  for (const word of ['up', 'approvals', 'keys', 'audit', 'log', 'dlq', 'demo', 'login', 'Examples:', 'Exit codes:'])
    expect(help.out).toContain(word)
  expect(await countersign('--version')).toMatchObject({ exit: 0, out: '1.2.3' })
  for (const command of ['up', 'demo', 'approvals', 'keys', 'audit', 'log', 'dlq'])
    expect((await countersign(`${command} --help`)).out).toContain('Examples:')
})

test('a wrong command line is exit 2, and says what to do', async () => {
  const unknown = await countersign('aprovals list')
  expect(unknown).toMatchObject({ exit: 2, out: '' })
  expect(unknown.err).toContain('Did you mean approvals?')
  expect((await countersign('approvals lst')).err).toContain('Did you mean list?')
  expect(await countersign([])).toMatchObject({ exit: 2 })
  expect(await countersign('approvals')).toMatchObject({ exit: 2 })
  expect((await countersign('up --port 70000')).err).toContain('from 0 to 65535')
  expect((await countersign('approvals show apr_123')).err).toContain('26 characters')
  expect((await countersign('approvals list --status open')).err).toContain('Allowed choices')
  expect((await countersign('approvals expire')).err).toContain('--all-stale')
  expect((await countersign('keys create --name a --role boss')).err).toContain('Allowed choices')
  expect((await countersign(['keys', 'create', '--role', 'agent', '--name', 'a b'])).err).toContain('64 letters')
})

test('without a server there is advice', async () => {
  const nowhere = await countersign('approvals list')
  expect(nowhere).toMatchObject({ exit: 2, out: '' })
  expect(nowhere.err).toContain('countersign up')
  const away = await countersign('approvals list', { owner: ownerAt('http://127.0.0.1:9') })
  expect(away.exit).toBe(3)
  expect(away.err).toContain('Is it running? Start it: countersign up')
})

test('flags win over the environment, which wins over the data directory', async () => {
  const server = await serve(() => ({ body: { items: [] } }))
  const other = await serve(() => ({ body: { items: [] } }))
  const scene = {
    owner: ownerAt(other.url),
    env: { COUNTERSIGN_URL: server.url, COUNTERSIGN_TOKEN: 'cst_env' },
  }
  await countersign('approvals list', scene)
  await countersign('approvals list --token cst_flag', scene)
  expect(server.received.map(({ headers }) => headers.authorization)).toEqual(['Bearer cst_env', 'Bearer cst_flag'])
  expect(server.received[0]?.headers['user-agent']).toBe('countersign-cli/1.2.3')
  await countersign(`approvals list --url ${other.url}`, scene)
  expect(other.received).toHaveLength(1)
})

test('the owner’s token is never sent to another server', async () => {
  const server = await serve(() => ({ body: { items: [] } }))
  const { exit, err } = await countersign(`approvals list --url ${server.url}`, {
    owner: ownerAt('http://127.0.0.1:4100'),
  })
  expect(exit).toBe(2)
  expect(err).toContain('--token')
  expect(server.received).toEqual([])
})

test.each([
  ['unauthenticated', 401, 2],
  ['forbidden', 403, 1],
  ['approval_not_found', 404, 1],
  ['decider_unavailable', 503, 3],
  ['internal_error', 500, 3],
] as const)('%s is exit code of the error table', async (code, status, exit) => {
  const server = await serve(() => refusal(code, status, { detail: 'bad \u001b[31m words' }))
  const result = await countersign(`approvals show ${view(1).id}`, { owner: ownerAt(server.url) })
  expect(result).toMatchObject({ exit, out: '' })
  expect(result.err).toContain(`bad ␛[31m words (${code})`)
})
