import { resolve } from 'node:path'
import { DEFAULT_DATA } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { usageError } from '../failure.ts'
import { hookCommand, isPortable } from './command-text.ts'
import { readSettings, type Scope, settingsFile, settingsText, withHooks, writeSettings } from './settings.ts'

export interface InstallOptions {
  project?: boolean
  user?: boolean
  url?: string
  data?: string
  print?: boolean
}

/** Adds the hooks to a settings file of Claude Code. Asks nobody and sends nothing. */
export async function install(options: InstallOptions, deps: Deps): Promise<void> {
  if (Boolean(options.project) === Boolean(options.user)) throw usageError('Give either --project or --user.')
  const { terminal } = deps
  const scope: Scope = options.project ? 'project' : 'user'
  const file = settingsFile(scope, deps)
  const before = readSettings(file)
  const command = hookCommand(scope, await whereTo(options, deps), deps)
  const after = withHooks(before, command)
  if (options.print) return terminal.out(settingsText(after).trimEnd())
  if (settingsText(before) !== settingsText(after)) writeSettings(file, after)
  terminal.out(file)
  terminal.err('Every tool call of Claude Code asks Countersign first. Check it: countersign doctor')
  if (scope === 'project' && !isPortable(command))
    terminal.err(
      'The file names paths of this machine. For one that colleagues can use, make countersign a package of the project,\n' +
        'and run this with npx.',
    )
}

/** The address, where it is given; else the data directory, where one has a server. No key is ever written. */
async function whereTo({ url, data }: InstallOptions, { env, local }: Deps): Promise<{ url?: string; data?: string }> {
  if (url !== undefined && (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)))
    throw usageError('--url takes http://… or https://…')
  const directory = resolve(data ?? DEFAULT_DATA)
  const isLocal = data !== undefined || (await local.owner(directory)) !== undefined
  if (url === undefined && !isLocal && env.COUNTERSIGN_URL === undefined)
    throw usageError(`No gate is known in ${directory}: start one there (countersign up), or give --url.`)
  return { ...(url === undefined ? {} : { url }), ...(isLocal ? { data: directory } : {}) }
}
