import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { STARTER_POLICY as policy } from '../../lib/core/policy/starter.ts'
import { startMessagesApi } from '../support/messages-api.ts'
import { startWorld, type World } from '../support/server.ts'

/**
 * Claude Code itself, with a model of our own behind the Messages API: it calls `rm -rf ./build`, which the starter
 * policy asks about. The program comes with the Claude Agent SDK; CLAUDE_AGENT_SDK names a folder that has it. It is
 * 350 MB and no dependency of the tests: without the variable only the shapes of the documentation are tested.
 */
const { CLAUDE_AGENT_SDK: folder, PATH = '' } = process.env
const PROGRAM = `node_modules/@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}/claude`
const COMMAND = [
  process.execPath,
  '--import',
  fileURLToPath(import.meta.resolve('tsx')),
  fileURLToPath(new URL('../../clients/cli/main.ts', import.meta.url)),
].join(' ')
/** Nothing listens there. */
const AWAY = 'http://127.0.0.1:9'

interface Hook {
  type: 'command' | 'http'
  timeout: number
  onFailure?: 'block'
  [key: string]: unknown
}

const FORMS: Record<string, (url: string) => Hook> = {
  command: (url) => ({ type: 'command', command: `${COMMAND} hook claude-code --url ${url}`, timeout: 600 }),
  http: (url) => ({
    type: 'http',
    url: `${url}/hooks/claude-code`,
    timeout: 600,
    headers: { Authorization: 'Bearer $COUNTERSIGN_KEY' },
    allowedEnvVars: ['COUNTERSIGN_KEY'],
  }),
}

const EVENTS = ['PreToolUse', 'PermissionRequest', 'PostToolUse', 'PostToolUseFailure']

/** Runs it on one prompt; the folder has a build/tmp to delete. */
async function runClaude({ agent }: World, hook: Hook, { events = EVENTS, flags = [] as string[] } = {}) {
  const cwd = mkdtempSync(join(tmpdir(), 'countersign-claude-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true, maxRetries: 5 }))
  mkdirSync(join(cwd, 'build/tmp'), { recursive: true })
  mkdirSync(join(cwd, '.claude'))
  const hooks = Object.fromEntries(events.map((event) => [event, [{ matcher: '*', hooks: [hook] }]]))
  writeFileSync(join(cwd, '.claude/settings.json'), JSON.stringify({ hooks }))
  const api = await startMessagesApi({ name: 'Bash', input: { command: 'rm -rf ./build', description: 'cleans' } })
  const child = spawn(join(folder ?? '', PROGRAM), ['-p', 'Go.', '--model', 'claude-sonnet-4-5', ...flags], {
    cwd,
    stdio: 'ignore',
    env: {
      PATH,
      HOME: cwd,
      COUNTERSIGN_KEY: agent.secret,
      ANTHROPIC_BASE_URL: api.url,
      ANTHROPIC_API_KEY: 'none',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
    },
  })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return {
    has: (path: string) => existsSync(join(cwd, path)),
    /** What the model was told of its call, once the run is over. */
    told: async () => {
      expect(await exited).toEqual([0, null])
      return api.told()
    },
  }
}

const UNASKED = ['--allowedTools', 'Bash']

async function decideNext({ admin }: World, decision: string, more: Record<string, unknown> = {}) {
  const [record] = await admin.pending()
  const id = record?.id ?? ''
  await admin.decide(id, decision, more)
  return id
}

if (folder)
  describe.each(Object.entries(FORMS))('Claude Code with the %s form', (form, hookOf) => {
    const hookAt = (url: string): Hook => ({ ...hookOf(url), onFailure: 'block' })

    test('holds the call, runs it once it is approved, and reports', async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookAt(world.url))
      const [pending] = await world.admin.pending()
      expect(run.has('build')).toBe(true)
      await world.admin.decide(pending?.id ?? '', 'approve')
      expect(await run.told()).not.toContain('Countersign')
      expect(run.has('build')).toBe(false)
      const { settlement } = await world.admin.recordThat(pending?.id ?? '', ({ status }) => status === 'settled')
      expect(settlement).toMatchObject({ outcome: 'executed' })
    })

    test('runs the changed call, and Claude is told', async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookAt(world.url))
      await decideNext(world, 'approve', { edits: { command: 'rm -rf ./build/tmp' } })
      expect(await run.told()).toContain('changed its arguments')
      expect([run.has('build'), run.has('build/tmp')]).toEqual([true, false])
    })

    test('does not run what is denied, and Claude reads why', async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookAt(world.url))
      await decideNext(world, 'deny', { reason: 'still needed' })
      expect(await run.told()).toContain('still needed')
      expect(run.has('build/tmp')).toBe(true)
    })

    test('a PermissionRequest alone is answered too', async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookAt(world.url), { events: ['PermissionRequest'] })
      await decideNext(world, 'approve')
      await run.told()
      expect(run.has('build')).toBe(false)
    })

    test('the gate is away: the call is blocked, also where Claude Code would have let it run', async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookAt(AWAY), { flags: UNASKED })
      expect(await run.told()).toContain('hook error')
      expect(run.has('build/tmp')).toBe(true)
    })

    test(`without onFailure, ${form === 'command' ? 'the exit code blocks it all the same' : 'it lets the call through'}`, async () => {
      const world = await startWorld({ policy })
      const run = await runClaude(world, hookOf(AWAY), { flags: UNASKED })
      await run.told()
      expect(run.has('build')).toBe(form === 'command')
    })
  })
else test.skip('Claude Code itself (CLAUDE_AGENT_SDK names no folder that has it)')
