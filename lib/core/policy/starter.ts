/**
 * The policy that holds when there is no file: ask before what destroys, leaks or rewrites history, allow the rest.
 * A command line is not parsed here, so its rules look at the text and rather ask too often: a spelling that could hide
 * one of the words (quotes, backslashes, expansions) asks as well.
 */

/** What a shell drops or fills in, so that it may stand between two letters of a word. */
const FILLER = String.raw`(?:["'\\\r\n{},\[\]]|\$(?:["'@*!?$0-9#_-]|\{[^}]*\}))*`

const spelled = (word: string): string => [...word].map((char) => char.replace(/[.-]/, String.raw`\$&`)).join(FILLER)
const anyOf = (words: readonly string[]): string => `(?:${words.map(spelled).join('|')})`

const START = '(?:^|[^a-z0-9])'
const END = '(?:[^a-z0-9]|$)'

const ELEVATED = ['sudo', 'doas', 'su', 'pkexec', 'runas']
const SHELLS = ['sh', 'bash', 'zsh', 'dash', 'ksh', 'csh', 'tcsh', 'fish', 'pwsh', 'powershell', 'cmd\\.exe']
const RUNNERS =
  'env|exec|command|builtin|nohup|nice|time|timeout|xargs|busybox|setsid|stdbuf|parallel|watch|then|do|else'

const deleting = [
  `${spelled('rm')}["'\\\\a-z]*`,
  anyOf(['shred', 'srm', 'unlink', 'delete']),
  'rimraf|unlinksync|removedirs|remove-item|trash|truncate|wipe|wipefs|mkfs(?:\\.[a-z0-9]+)?|dd|del|erase|rd',
]
const INTERPRETERS = 'python[0-9.]*|perl|ruby|node|nodejs|deno|bun|php|lua|osascript'

const mayDelete = `(?i)${START}(?:${deleting.join('|')})${END}`
const pushing = `(?i)${anyOf(['push', 'send-pack'])}`
const forcing = String.raw`(?i)(?:^|[^a-z0-9])(?:-[a-z0-9]*[fd]|-[a-z0-9]*["'\\]|--(?:${spelled('fo')}|${spelled('mi')}|${spelled('de')}|${spelled('pr')}|["'\\])|\+)|[$\x60]|\s["']?:[^\s:/]|mirror`
const gpg = `(?i)${START}${spelled('gpg')}`
const dotEnv = String.raw`(?i)(?:^|[^a-z0-9_)\]]|\$[a-z0-9_]+)["'\\]*\.${FILLER}(?:${spelled('env')}|[a-z]*[?*\[{$])|[*?\]]["']*e?n?v`
const elevated = `(?i)${START}${anyOf(ELEVATED)}${END}`
const indirect = [
  // Runs text as code, or takes it from where it cannot be read.
  `${START}(?:${spelled('eval')}|${spelled('source')}|${spelled('alias')}|base(?:32|64)|xxd|uudecode|openssl)${END}`,
  `(?:^|[^a-z0-9.])${anyOf(SHELLS.map((name) => name.replace('\\', '')))}${END}`,
  String.raw`${START}(?:${INTERPRETERS})\b[^;&|\n]*(?:\s-[a-z]*[cerp](?:[\s"'=]|$)|\s(?:--)?(?:eval|print|exec)\b|<|\s-(?:\s|$))`,
  String.raw`\|\s*[^\s|;&]*(?:${INTERPRETERS})`,
  String.raw`xargs\b[^;&|\n]*\s(?:-[a-z0-9]*i|--replace|${RUNNERS})|${START}parallel${END}`,
  String.raw`system\s*\(|getline`,
  String.raw`\x60|\$\(|[<>]\(|\$["']`,
  String.raw`(?:^|[;&|\n])\s*\.\s`,
  // An expansion that is or makes part of a command word.
  String.raw`(?:^|[;&|({!\n]|\b(?:${RUNNERS})\s)\s*["'\\]*\$`,
  String.raw`(?:^|[;&|({!\n])\s*[a-z_][a-z0-9_]*=\S*\s+["'\\]*\$`,
  String.raw`[a-z]["']*\$[{@*a-z_]|\$\{[^}]*\}["']*[a-z]|\$[@*0-9]["']*[a-z]|\$\{?\w+\}?["']*\$|\$\{[^}]*[^a-z0-9_}][^}]*\}|-["']*\$`,
  // A command word that the shell looks up by pattern, or puts together from braces.
  String.raw`(?:^|[;&|({!\n]|\b(?:${RUNNERS})\s[^;&|\n]*)\s*[^\s;&|"'=]*(?:[?*]|\[[^\s\[])`,
  String.raw`[a-z]\{[^}\s]*,|,[^{\s]*\}[a-z{]`,
]

const yaml = (pattern: string): string => JSON.stringify(pattern)

/** Rules for a tool that writes files, one for each name that its path goes by. */
const WRITE_PATHS = ['file_path', 'path', 'notebook_path']
const writeRules = WRITE_PATHS.map(
  (name) => `
  - id: write-secrets-by-${name.replaceAll('_', '-')}
    description: Writes to a file of secrets.
    match: { tool: [Write, Edit, MultiEdit, NotebookEdit] }
    when: [{ path: args.${name}, matches: ${yaml(String.raw`(?i)(?:^|[/\\])\s*(?:\.env[^/\\]*|[^/\\]*\.env|secrets\.[^/\\]*)\s*(?:[/\\]|$)`)} }]
    action: require_approval
    risk: high`,
)

const shellRule = (id: string, description: string, patterns: readonly string[], risk = 'high'): string => `
  - id: ${id}
    description: ${description}
    match: { tool: [Bash, shell, sh, exec, run_command, execute_command, "mcp__*__bash", "mcp__*__shell"] }
    when:
${patterns.map((pattern) => `      - { path: args.command, matches: ${yaml(pattern)} }`).join('\n')}
    action: require_approval
    risk: ${risk}`

const unreadable = `
  - id: shell-unread
    description: Runs a command that is not where it can be read.
    match: { tool: [Bash, shell, sh, exec, run_command, execute_command, "mcp__*__bash", "mcp__*__shell"] }
    when: [{ path: args.command, exists: false }]
    action: require_approval
    risk: high`

const unreadableWrite = `
  - id: write-unread
    description: Writes to a file that is not where it can be read.
    match: { tool: [Write, Edit, MultiEdit, NotebookEdit] }
    when: [${WRITE_PATHS.map((name) => `{ path: args.${name}, exists: false }`).join(', ')}]
    action: require_approval
    risk: medium`

/** The text of a policy file; see docs/policy.md for the language. */
export const STARTER_POLICY = `version: 1
default: allow
settings: { timeout: 5m, denialMemory: 5m }
rules:
  - id: delete-tools
    description: Deletes something.
    match: { tool: ["delete*", "*.delete*", "*_delete*", "*-delete*", "*/delete*", "*:delete*", "* delete*", "mcp__*__delete_*"] }
    action: require_approval
    risk: high

  - id: http-delete
    description: Sends an HTTP DELETE.
    match: { tool: ["*http*", "*fetch*", "*request*", "*curl*"] }
    when: [{ path: args.method, matches: "(?i)^\\\\s*delete\\\\s*$" }]
    action: require_approval
    risk: high
${[...writeRules, unreadableWrite].join('\n')}
${[
  shellRule('shell-delete', 'Runs a command that may delete.', [mayDelete]),
  shellRule('shell-force-push', 'Runs a command that may rewrite or delete a remote branch.', [pushing, forcing]),
  shellRule('shell-gpg', 'Runs gpg.', [gpg]),
  shellRule('shell-env-file', 'Runs a command on an .env file.', [dotEnv]),
  shellRule('shell-elevated', 'Runs a command as another user.', [elevated]),
  ...indirect.map((pattern, index) =>
    shellRule(
      `shell-indirect-${index + 1}`,
      'Runs a command that does not show what it runs.',
      [`(?i)${pattern}`],
      'medium',
    ),
  ),
  unreadable,
].join('\n')}
`
