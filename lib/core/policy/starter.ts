/**
 * The policy that holds when there is no file: ask before what destroys, leaks or rewrites history, allow the rest.
 * A command line is judged by what it would run, however it is spelled; one that does not show it asks as well.
 */

const yaml = (text: string): string => JSON.stringify(text)
const list = (texts: readonly string[]): string => `[${texts.map(yaml).join(', ')}]`

const names = (text: string): string[] => text.split(', ')

/** Programs that delete, whatever they are called with. */
const DELETING = [
  ...names('rm, rmdir, unlink, shred, srm, rimraf, del-cli, trash*, wipe, wipefs, truncate, mkfs*, dd'),
  ...names('del, erase, rd, remove-item, removedirs'),
  ...names('kubectl delete, helm uninstall, helm delete, terraform destroy, aws * delete*, aws s3 rm, aws s3 rb'),
  ...names('gcloud * delete, gcloud * * delete, az * delete, gh * delete, docker volume rm, docker volume prune'),
]
/** Programs that delete with an option. */
const DELETING_WITH = names('find, rsync, aws s3, curl, wget, http, https, xh, gh api')
const PUSHING = ['git push', 'git send-pack']
const ELEVATED = ['sudo', 'doas', 'su', 'pkexec', 'runas', 'runuser', 'gsudo', 'sudoedit']
const DOT_ENV = ['.env', '.env.*']

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

const SHELL_TOOLS = '[Bash, shell, sh, exec, run_command, execute_command, "mcp__*__bash", "mcp__*__shell"]'

/** One of the commands is enough. What cannot be read is for the rule that says so. */
const shellRule = (id: string, description: string, commands: readonly string[]): string => `
  - id: ${id}
    description: ${description}
    match: { tool: ${SHELL_TOOLS} }
    when:
      - any:
${commands.map((command) => `          - { command: { ${command}, readable: true } }`).join('\n')}
    action: require_approval
    risk: high`

const unreadable = `
  - id: shell-unread
    description: Runs a command that does not show what it runs.
    match: { tool: ${SHELL_TOOLS} }
    when: [{ command: { readable: false } }]
    action: require_approval
    risk: medium

  - id: shell-missing
    description: Runs a command that is not where it can be read.
    match: { tool: ${SHELL_TOOLS} }
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
  shellRule('shell-delete', 'Runs a command that may delete.', [
    `runs: ${list(DELETING)}`,
    'runs: git clean, without: dry-run',
    `runs: ${list(DELETING_WITH)}, with: delete, without: dry-run`,
  ]),
  shellRule(
    'shell-force-push',
    'Runs a command that may rewrite or delete a remote branch.',
    ['force', 'delete', 'mirror', 'prune'].map((option) => `runs: ${list(PUSHING)}, with: ${option}`),
  ),
  shellRule('shell-gpg', 'Runs gpg.', [`runs: "gpg*"`]),
  shellRule('shell-env-file', 'Runs a command on an .env file.', [
    `args: ${list(DOT_ENV)}`,
    `writes: ${list(DOT_ENV)}`,
  ]),
  shellRule('shell-elevated', 'Runs a command as another user.', [`runs: ${list(ELEVATED)}`]),
  unreadable,
].join('\n')}
`
