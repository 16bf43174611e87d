import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Deps } from '../deps.ts'
import { usageError } from '../failure.ts'

export type Scope = 'project' | 'user'

/** A hook of a settings file (https://code.claude.com/docs/en/hooks), as far as it counts here. */
export interface Handler {
  type?: unknown
  command?: unknown
  timeout?: unknown
  onFailure?: unknown
  async?: unknown
  [key: string]: unknown
}

interface Group {
  matcher?: unknown
  hooks: Handler[]
  [key: string]: unknown
}

export interface Settings {
  hooks: Record<string, Group[]>
  disableAllHooks?: unknown
  [key: string]: unknown
}

/** Past the longest wait of the command, so that its answer comes first. */
export const HOOK_TIMEOUT_SECONDS = 600
const REPORT_TIMEOUT_SECONDS = 30

export const settingsFile = (scope: Scope, { env }: Pick<Deps, 'env'>): string =>
  scope === 'project'
    ? join(process.cwd(), '.claude', 'settings.json')
    : join(env.CLAUDE_CONFIG_DIR || join(homedir(), '.claude'), 'settings.json')

/** The settings of a file, or none where there is no file. Throws CliError 2 when it is not what Claude Code takes. */
export function readSettings(file: string): Settings {
  if (!existsSync(file)) return { hooks: {} }
  const wrong = (what: string) => usageError(`${file}: ${what}. Nothing was changed.`)
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw wrong(error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${String(error)})`)
  }
  if (!isObject(value)) throw wrong('must hold a JSON object')
  const hooks = value.hooks ?? {}
  if (!isObject(hooks)) throw wrong('hooks must be an object')
  for (const [event, groups] of Object.entries(hooks))
    if (!Array.isArray(groups) || !groups.every((group) => isObject(group) && Array.isArray(group.hooks)))
      throw wrong(`hooks.${event} must be a list of {matcher, hooks}`)
  return { ...value, hooks: hooks as Record<string, Group[]> }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Replaces the file as a whole, or not at all; a link stays a link. */
export function writeSettings(file: string, settings: Settings): void {
  const target = existsSync(file) ? realpathSync(file) : file
  const mode = existsSync(file) ? statSync(target).mode & 0o777 : 0o644
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(`${target}.countersign`, settingsText(settings), { mode })
  renameSync(`${target}.countersign`, target)
}

export const settingsText = (settings: Settings): string => `${JSON.stringify(settings, null, 2)}\n`

/** The same settings with our hooks, once; everything else stays as it is. */
export function withHooks(settings: Settings, command: string): Settings {
  const hooks = { ...settings.hooks }
  for (const [event, handler] of Object.entries(handlersOf(command))) {
    const others = (hooks[event] ?? [])
      .map((group) => ({ ...group, hooks: group.hooks.filter((each) => !isOurs(each)) }))
      .filter((group, at) => group.hooks.length > 0 || hooks[event]?.[at]?.hooks.length === 0)
    hooks[event] = [...others, { matcher: '*', hooks: [handler] }]
  }
  return { ...settings, hooks }
}

function handlersOf(command: string): Record<string, Handler> {
  const question = { type: 'command', command, timeout: HOOK_TIMEOUT_SECONDS, onFailure: 'block' }
  const report = { type: 'command', command, timeout: REPORT_TIMEOUT_SECONDS, async: true }
  return { PreToolUse: question, PermissionRequest: question, PostToolUse: report, PostToolUseFailure: report }
}

export const isOurs = ({ command }: Handler): boolean =>
  typeof command === 'string' && / hook claude-code(?= |$)/.test(command)

/** Our hook before every call, and the matcher of its group; undefined where there is none. */
export function questionHook({ hooks }: Settings): { handler: Handler; matcher: unknown } | undefined {
  for (const group of hooks.PreToolUse ?? []) {
    const handler = group.hooks.find(isOurs)
    if (handler) return { handler, matcher: group.matcher }
  }
  return undefined
}
