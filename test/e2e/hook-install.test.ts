import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runCountersign } from '../support/process.ts'
import { scenario } from '../support/server.ts'

interface Settings {
  hooks: Record<string, { matcher: string; hooks: { type: string; command: string }[] }[]>
  [key: string]: unknown
}

/** A machine of its own: a project, a home, and the command in them. */
function machine() {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-install-')))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const project = join(root, 'my project')
  const home = join(root, 'home')
  for (const path of [project, home]) mkdirSync(path)
  const files = {
    project: join(project, '.claude', 'settings.json'),
    user: join(home, '.claude', 'settings.json'),
  }
  const environment = {
    HOME: home,
    CLAUDE_CONFIG_DIR: '',
    COUNTERSIGN_URL: '',
    COUNTERSIGN_KEY: '',
    COUNTERSIGN_TOKEN: '',
  }
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const child = runCountersign(args, { cwd: project, env: { ...environment, ...env } })
    child.child.stdin.end()
    return { exit: await child.exited, out: child.stdout(), err: child.stderr() }
  }
  const read = (scope: keyof typeof files) => JSON.parse(readFileSync(files[scope], 'utf8')) as Settings
  return { project, files, run, read, environment }
}

const commandOf = ({ hooks }: Settings) => hooks.PreToolUse?.at(-1)?.hooks[0]?.command ?? ''

test('install adds its hooks beside those that are there, once, and leaves the rest alone', async () => {
  const { files, run, read } = machine()
  const own = { matcher: 'Bash', hooks: [{ type: 'command', command: './lint.sh' }] }
  const stop = [{ hooks: [{ type: 'command', command: 'say done' }] }]
  mkdirSync(join(files.user, '..'))
  writeFileSync(files.user, JSON.stringify({ model: 'x', hooks: { Stop: stop, PreToolUse: [own] } }), { mode: 0o600 })
  const install = ['hook', 'install', '--user', '--url', 'https://gate.example.com']
  expect(await run(install)).toMatchObject({ exit: 0, out: `${files.user}\n` })
  const first = readFileSync(files.user, 'utf8')
  expect(await run(install)).toMatchObject({ exit: 0 })
  expect(readFileSync(files.user, 'utf8')).toBe(first)
  expect(statSync(files.user).mode & 0o777).toBe(0o600)

  const settings = read('user')
  expect([settings.model, settings.hooks.Stop, settings.hooks.PreToolUse?.[0]]).toEqual(['x', stop, own])
  const command = commandOf(settings)
  expect(command).toMatch(/ hook claude-code --url https:\/\/gate\.example\.com$/)
  const question = [{ matcher: '*', hooks: [{ type: 'command', command, timeout: 600, onFailure: 'block' }] }]
  const report = [{ matcher: '*', hooks: [{ type: 'command', command, timeout: 30, async: true }] }]
  expect(settings.hooks).toEqual({
    Stop: stop,
    PreToolUse: [own, ...question],
    PermissionRequest: question,
    PostToolUse: report,
    PostToolUseFailure: report,
  })

  await run(['hook', 'install', '--user', '--url', 'https://other.example.com'])
  expect(read('user').hooks.PreToolUse).toHaveLength(2)
  expect(commandOf(read('user'))).toContain('https://other.example.com')
})

test('the example is what install writes, with the command on the path', async () => {
  const { run } = machine()
  const { out } = await run(['hook', 'install', '--user', '--url', 'http://127.0.0.1:4100', '--print'])
  const command = commandOf(JSON.parse(out))
  const example = readFileSync(new URL('../../examples/claude-code/settings.json', import.meta.url), 'utf8')
  const short = 'countersign hook claude-code --url http://127.0.0.1:4100'
  expect(JSON.parse(example)).toEqual(JSON.parse(out.replaceAll(JSON.stringify(command), JSON.stringify(short))))
})

test('install refuses what it cannot merge, and writes nothing with --print', async () => {
  const { files, run } = machine()
  const install = ['hook', 'install', '--project', '--url', 'http://127.0.0.1:4100']
  const printed = await run([...install, '--print'])
  expect(printed.exit).toBe(0)
  expect(JSON.parse(printed.out).hooks.PreToolUse).toHaveLength(1)
  expect(existsSync(files.project)).toBe(false)
  mkdirSync(join(files.project, '..'))
  for (const text of ['{', '[]', '{"hooks": []}', '{"hooks": {"PreToolUse": [{"matcher": "*"}]}}']) {
    writeFileSync(files.project, text)
    expect(await run(install)).toMatchObject({ exit: 2, err: expect.stringContaining('Nothing was changed') })
    expect(readFileSync(files.project, 'utf8')).toBe(text)
  }
  for (const bad of [[], ['--project', '--user'], ['--project'], ['--project', '--url', 'gate']])
    expect((await run(['hook', 'install', ...bad])).exit).toBe(2)
})

scenario('what install writes runs from a shell: it asks with the server there, and blocks without', async (world) => {
  const { run, read, project, environment } = machine()
  expect(await run(['hook', 'install', '--project', '--data', world.dataDir])).toMatchObject({ exit: 0 })
  const command = commandOf(read('project'))
  const hook = async () => {
    const child = spawn(command, {
      shell: true,
      cwd: tmpdir(),
      env: { ...process.env, ...environment, CLAUDE_PROJECT_DIR: project },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stdin.end(
      JSON.stringify({ hook_event_name: 'PreToolUse', session_id: 's', tool_name: 'never.x', tool_input: {} }),
    )
    const [code] = await once(child, 'close')
    return { code, out }
  }
  expect(await hook()).toMatchObject({ code: 0, out: expect.stringContaining('Denied by the rule never.') })
  await world.stop()
  expect(await hook()).toEqual({ code: 2, out: '' })
})

scenario('doctor proves that hooks reach the gate and that they block without it', async (world) => {
  const { run, files, read } = machine()
  const env = { COUNTERSIGN_URL: world.url, COUNTERSIGN_KEY: world.agent.secret }
  const checksOf = async (more: Record<string, string> = {}) => {
    const { exit, out } = await run(['doctor', '--json'], { ...env, ...more })
    const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: { name: string; ok: boolean; detail: string }[] }
    expect(exit).toBe(ok ? 0 : 1)
    return checks.filter((check) => !check.ok).map(({ name }) => name)
  }
  expect(await checksOf()).toEqual(['hook'])
  await run(['hook', 'install', '--user', '--url', world.url])
  const fine = await run(['doctor'], env)
  expect(fine.exit).toBe(0)
  expect(fine.out).toContain('exits with 2: the call is blocked')
  expect(fine.out).not.toContain('FAILED')

  await run(['hook', 'install', '--project', '--url', `${world.url}/`])
  expect(await checksOf()).toEqual(['hook'])
  rmSync(files.project)
  expect(await checksOf({ COUNTERSIGN_KEY: 'csk_unknown-unknown' })).toEqual(['key'])
  expect(await checksOf({ COUNTERSIGN_KEY: world.admin.secret })).toEqual(['key'])
  const settings = read('user')
  const change = (more: Record<string, unknown>, top: Record<string, unknown> = {}) => {
    const [group] = settings.hooks.PreToolUse ?? []
    const changed = [{ ...group, hooks: [{ ...group?.hooks[0], ...more }] }]
    writeFileSync(
      files.user,
      JSON.stringify({ ...settings, ...top, hooks: { ...settings.hooks, PreToolUse: changed } }),
    )
  }
  for (const weak of [{ timeout: 60 }, { onFailure: 'allow' }, { async: true }]) {
    change(weak)
    expect(await checksOf()).toEqual(['hook'])
  }
  change({}, { disableAllHooks: true })
  expect(await checksOf()).toEqual(['hook'])
  // A command that is none of ours is told, and never run.
  change({ command: `echo > '${files.user}.ran'; true hook claude-code` })
  expect(await checksOf()).toEqual(['closed'])
  expect(existsSync(`${files.user}.ran`)).toBe(false)

  change({})
  await world.stop()
  expect(await checksOf()).toEqual(['gate', 'key'])
  expect((await world.admin.send('GET', '/healthz').catch(() => undefined))?.status).toBeUndefined()
})
