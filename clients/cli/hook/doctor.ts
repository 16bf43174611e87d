import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { parsePolicy } from '../../../lib/core/policy/parse.ts'
import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { DEFAULT_FILE, readText } from '../policy/policy-text.ts'
import { jsonText, printable } from '../printable.ts'
import { hookCommand } from './command-text.ts'
import { askGate } from './gate.ts'
import { questionHook, readSettings, type Scope, type Settings, settingsFile } from './settings.ts'
import { type HookOptions, type HookTarget, hookTarget } from './target.ts'

interface Check {
  name: string
  ok: boolean
  detail: string
  /** What to do about it. */
  advice?: string
}

const REACH_MS = 5_000
const RUN_MS = 30_000

/** Proves that hooks reach the gate, and block when they do not. Rejects with CliError 1 when anything is wrong. */
export async function doctor(options: HookOptions & { json?: boolean }, deps: Deps): Promise<void> {
  const { terminal } = deps
  const target = await known(() => hookTarget(options, deps))
  const checks = [
    ...(target instanceof Error
      ? [failed('gate', target.message, 'Say where the gate is, and which agent asks.')]
      : [await gateCheck(target), await keyCheck(target)]),
    await policyCheck(),
    ...(await hookChecks(deps)),
  ]
  const bad = checks.filter(({ ok }) => !ok)
  if (options.json) terminal.out(jsonText({ ok: bad.length === 0, checks }, 2))
  else for (const check of checks) for (const line of linesOf(check, deps)) terminal.out(line)
  if (bad.length > 0) throw new CliError(`${bad.length} of ${checks.length} checks failed.`, 1)
}

function linesOf({ name, ok, detail, advice }: Check, { terminal: { colors } }: Deps): string[] {
  const word = ok ? colors.green('ok    ') : colors.red('FAILED')
  return [
    `${word}  ${name.padEnd(6)}  ${detail.split('\n').map(printable).join(' ')}`,
    ...(advice === undefined ? [] : [`                ${advice}`]),
  ]
}

const passed = (name: string, detail: string): Check => ({ name, ok: true, detail })
const failed = (name: string, detail: string, advice: string): Check => ({ name, ok: false, detail, advice })

async function known<T>(read: () => Promise<T> | T): Promise<T | Error> {
  try {
    return await read()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

async function gateCheck({ url }: HookTarget): Promise<Check> {
  const response = await known(() =>
    fetch(`${url}/readyz`, { signal: AbortSignal.timeout(REACH_MS), redirect: 'error' }),
  )
  if (response instanceof Error)
    return failed('gate', `nothing answers at ${url}`, 'Start it (countersign up), or give its address with --url.')
  await response.body?.cancel()
  return response.ok
    ? passed('gate', `${url} is ready`)
    : failed('gate', `${url} answers ${response.status} to /readyz`, 'Look into its log: a part of it is not ready.')
}

/** A report on a call that never was: it changes nothing, and is answered to agents alone. */
async function keyCheck(target: HookTarget): Promise<Check> {
  const event = 'PostToolUse'
  const probe = { hook_event_name: event, session_id: 'doctor', tool_name: 'doctor', tool_input: {} }
  const answer = await known(() => askGate(target, { event, body: JSON.stringify(probe) }, 0))
  const advice = 'Set COUNTERSIGN_KEY to an agent’s key: countersign keys create --role agent --name claude-code'
  if (answer instanceof Error) return failed('key', answer.message, advice)
  return answer === '{}' ? passed('key', 'the gate takes the agent key') : failed('key', messageOf(answer), advice)
}

const messageOf = (text: string): string => String(JSON.parse(text).systemMessage ?? text)

async function policyCheck(): Promise<Check> {
  if (!existsSync(DEFAULT_FILE))
    return passed('policy', `there is no ${DEFAULT_FILE} here: a server that starts here takes the starter policy`)
  const text = await known(() => readText(DEFAULT_FILE))
  if (text instanceof Error) return failed('policy', text.message, 'Make it readable, or take it away.')
  const parsed = parsePolicy(text)
  return parsed.ok
    ? passed('policy', `${DEFAULT_FILE} is sound, ${parsed.policy.rules.length} rules`)
    : failed(
        'policy',
        `${DEFAULT_FILE} has ${parsed.errors.length === 1 ? 'a fault' : `${parsed.errors.length} faults`}`,
        'Read them: countersign policy check',
      )
}

async function hookChecks(deps: Deps): Promise<Check[]> {
  const install = 'Write it anew: countersign hook install --project (or --user)'
  const checks: Check[] = []
  const found = new Set<string>()
  for (const scope of ['project', 'user'] as const) {
    const file = settingsFile(scope, deps)
    const settings = await known(() => readSettings(file))
    if (settings instanceof Error) {
      checks.push(failed('hook', settings.message, 'Mend the file: Claude Code can read none of its hooks.'))
      continue
    }
    const hook = questionHook(settings)
    if (!hook) continue
    const command = String(hook.handler.command)
    found.add(command)
    const faults = faultsOf(settings, hook)
    checks.push(
      faults.length === 0
        ? passed('hook', `${file} asks before every tool call`)
        : failed('hook', `${file}: ${faults.join('; ')}`, install),
    )
    checks.push(await closedCheck(scope, command, deps))
  }
  if (found.size === 0) checks.push(failed('hook', 'no settings of Claude Code ask Countersign', install))
  if (found.size > 1)
    checks.push(
      failed(
        'hook',
        'project and user both ask, by different commands',
        'Keep one: the second finds its approval used.',
      ),
    )
  return checks
}

function faultsOf(settings: Settings, { handler, matcher }: NonNullable<ReturnType<typeof questionHook>>): string[] {
  const wait = /--wait[ =](\d+)/.exec(String(handler.command))?.[1]
  return [
    ...(settings.disableAllHooks === true ? ['disableAllHooks is true'] : []),
    ...(matcher === undefined || matcher === '' || matcher === '*' ? [] : ['its matcher leaves tools out']),
    ...(handler.type === 'command' && handler.async !== true ? [] : ['it is no command that Claude Code waits for']),
    ...(typeof handler.timeout === 'number' && handler.timeout > Number(wait ?? 570)
      ? []
      : ['its timeout ends before the wait does, and a hook that times out blocks nothing']),
    ...(handler.onFailure === 'block' ? [] : ['onFailure is not "block"']),
  ]
}

/** Runs the command of the settings against a port where nothing listens: it must exit with 2, which blocks the call. */
async function closedCheck(scope: Scope, command: string, deps: Deps): Promise<Check> {
  const own = hookCommand(scope, {}, deps)
  const rest = command.startsWith(own) ? command.slice(own.length) : undefined
  if (rest === undefined || !/^[A-Za-z0-9_ ./:@%+=,'"$-]*$/.test(rest) || rest.includes('$('))
    return failed(
      'closed',
      'the command of the settings is not what this installation writes, and was not run',
      'Write it anew: countersign hook install --project (or --user)',
    )
  const exit = await runAway(command, deps)
  return exit === 2
    ? passed('closed', 'with no gate there, the command exits with 2: the call is blocked')
    : failed(
        'closed',
        `with no gate there, the command exits with ${exit}: the call would go through`,
        'Run it by hand.',
      )
}

async function runAway(command: string, { env }: Deps): Promise<number | string> {
  const child = spawn(`${command} --url http://127.0.0.1:${await closedPort()}`, {
    shell: true,
    env: { ...env, COUNTERSIGN_KEY: 'csk_doctor-asks-nobody', CLAUDE_PROJECT_DIR: process.cwd() },
    stdio: ['pipe', 'ignore', 'ignore'],
    timeout: RUN_MS,
  })
  child.stdin.on('error', () => {})
  child.stdin.end(
    JSON.stringify({ hook_event_name: 'PreToolUse', session_id: 'doctor', tool_name: 'doctor', tool_input: {} }),
  )
  const [code, signal] = await once(child, 'exit')
  return code ?? signal
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 1
}
