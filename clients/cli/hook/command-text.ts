import { isAbsolute, relative, sep } from 'node:path'
import type { Deps } from '../deps.ts'
import type { Scope } from './settings.ts'

const PROJECT = '"$CLAUDE_PROJECT_DIR"'

/**
 * What a settings file runs: this very installation, by its path, so that nothing else of its name can take its place.
 * Where it is one of the project's own packages, it is named from the project, as colleagues have it too.
 */
export function hookCommand(
  scope: Scope,
  { url, data }: { url?: string | undefined; data?: string | undefined },
  { self }: Pick<Deps, 'self'>,
): string {
  const word = (text: string) => (scope === 'project' ? wordInProject(text) : quoted(text))
  const [, script = ''] = self
  const isPackage = self.length === 2 && word(script).startsWith(`${PROJECT}/node_modules/`)
  return [
    ...(isPackage ? ['node', word(script)] : self.map(quoted)),
    'hook',
    'claude-code',
    ...(url === undefined ? [] : ['--url', quoted(url)]),
    ...(data === undefined ? [] : ['--data', word(data)]),
  ].join(' ')
}

/** True for a command that says the same on another machine. */
export const isPortable = (command: string): boolean => command.startsWith(`node ${PROJECT}/`)

/** A path from the project where it lies there. */
function wordInProject(path: string): string {
  const inside = relative(process.cwd(), path)
  if (!isAbsolute(path) || isAbsolute(inside) || inside === '' || inside.split(sep)[0] === '..') return quoted(path)
  return `${PROJECT}/${quoted(inside)}`
}

/** One word for a shell: sh, and Git Bash on Windows, where paths go with slashes. */
function quoted(word: string): string {
  const text = process.platform === 'win32' ? word.replaceAll('\\', '/') : word
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
