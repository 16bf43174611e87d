import { commandFits } from '../shell/command-fit.ts'
import type { CommandLine } from '../shell/command-line.ts'
import { type CommandSpec, parseCommandSpec } from '../shell/command-spec.ts'
import { SAME } from '../shell/programs.ts'
import { commandsOf, knownWords, type Scan } from './scan.ts'
import type { Sighting } from './sighting.ts'
import { looksLikeSql, sqlDamage } from './sql.ts'

/** Only what can be read counts here: a line that cannot is a sighting of its own. */
const spec = (value: Record<string, unknown>): CommandSpec => {
  const parsed = parseCommandSpec({ readable: true, ...value })
  if (typeof parsed === 'string') throw new TypeError(parsed)
  return parsed
}

const COMMANDS: readonly [what: string, spec: CommandSpec][] = [
  ['Deletes folders with all that is in them', spec({ runs: ['rm', 'grm', 'remove-item'], with: 'recursive' })],
  ['Deletes what it finds', spec({ runs: 'find', with: 'delete' })],
  ['Deletes what the other side does not have', spec({ runs: 'rsync', with: 'delete' })],
  ['Destroys files or disks', spec({ runs: ['shred', 'wipefs', 'mkfs*', 'fdisk', 'parted', 'sgdisk', 'blkdiscard'] })],
  [
    'Writes to a device',
    spec({ writes: ['/dev/sd*', '/dev/nvme*', '/dev/vd*', '/dev/xvd*', '/dev/disk*', '/dev/mmc*'] }),
  ],
  ['Overwrites or deletes what others have pushed', spec({ runs: 'git push', with: 'force' })],
  ['Overwrites or deletes what others have pushed', spec({ runs: 'git push', with: 'delete' })],
  ['Overwrites or deletes what others have pushed', spec({ runs: 'git push', with: 'mirror' })],
  ['Throws work away', spec({ runs: 'git reset', with: 'hard' })],
  ['Throws work away', spec({ runs: 'git clean', with: 'force', without: 'dry-run' })],
  ['Rewrites history', spec({ runs: ['git filter-branch', 'git filter-repo', 'git reflog expire'] })],
  [
    'Destroys infrastructure',
    spec({
      runs: [
        'terraform destroy',
        'tofu destroy',
        'terragrunt destroy',
        'pulumi destroy',
        'cdk destroy',
        'sls remove',
        'serverless remove',
      ],
    }),
  ],
  ['Destroys infrastructure', spec({ runs: ['terraform apply', 'tofu apply'], with: '-destroy' })],
  [
    'Deletes from a cluster',
    spec({
      runs: ['kubectl delete', 'oc delete', 'kubectl drain', 'helm uninstall', 'helm delete'],
      without: 'dry-run',
    }),
  ],
  [
    'Deletes in the cloud',
    spec({
      runs: [
        'aws * delete-*',
        'aws * terminate-*',
        'aws * purge-*',
        'aws s3 rb',
        'az * delete',
        'az * * delete',
        'gcloud * delete',
        'gcloud * * delete',
        'gcloud * * * delete',
        'doctl * delete',
        'doctl * * delete',
        'heroku *:destroy',
        'flyctl * destroy',
        'gsutil rb',
        'bq rm',
        'gh repo delete',
      ],
    }),
  ],
  [
    'Deletes in the cloud',
    spec({ runs: ['aws s3 rm', 'gsutil rm', 'gcloud storage rm', 'aws s3 sync'], with: ['--recursive'] }),
  ],
  ['Deletes in the cloud', spec({ runs: 'aws s3 sync', with: '--delete' })],
  [
    'Deletes containers, images or volumes',
    spec({
      runs: [
        'docker system prune',
        'docker volume rm',
        'docker volume prune',
        'podman system prune',
        'podman volume rm',
      ],
    }),
  ],
  [
    'Deletes containers, images or volumes',
    spec({ runs: ['docker compose down', 'docker-compose down'], with: ['--volumes'] }),
  ],
  [
    'Deletes a database',
    spec({ runs: ['dropdb', 'dropuser', 'mysqladmin drop', 'redis-cli flushall', 'redis-cli flushdb'] }),
  ],
  [
    'Stops the machine',
    spec({ runs: ['shutdown', 'reboot', 'halt', 'poweroff', 'systemctl poweroff', 'systemctl reboot'] }),
  ],
]

const DATABASE_CLIENTS =
  /^(?:psql|mysql|mariadb|sqlite3?|sqlcmd|bq|duckdb|clickhouse(?:-client)?|cockroach|snowsql|usql|mycli|pgcli|athena)$/i
const SQL_KEYS = /^(?:sql|query|statement|stmt|queries|statements)$/
const VERBS = new Set(['delete', 'destroy', 'drop', 'purge', 'wipe', 'erase', 'truncate', 'terminate'])

/** Every name that a program of the line goes by, in lower case. */
const programsOf = ({ commands }: CommandLine): Set<string> =>
  new Set(
    commands.flatMap(({ name, program }) => {
      const lower = name.toLowerCase()
      return [lower, SAME.get(lower) ?? lower, program.toLowerCase()]
    }),
  )

/** False where no program of the line is one that the spec names; most lines run few. */
const couldRun = ({ runs }: CommandSpec, names: ReadonlySet<string>): boolean =>
  runs.length === 0 || runs.some(([program = '']) => program.includes('*') || names.has(program))

/** Commands, statements and calls that destroy what is hard to get back. */
export function destructive(scanned: Scan): Sighting[] {
  const { action, leaves, lines, nameWords } = scanned
  const found: Sighting[] = []
  for (const { path, line } of lines) {
    if (line.unreadable.length > 0) found.push({ message: 'Runs a command that cannot be read whole.', path })
    const names = programsOf(line)
    for (const [what, each] of COMMANDS) {
      if (!couldRun(each, names)) continue
      const reason = commandFits(line, each, 'strict')
      if (reason !== undefined) found.push({ message: `${what}: ${reason}.`, path })
    }
  }
  for (const { path, command } of commandsOf(scanned)) {
    if (!DATABASE_CLIENTS.test(command.name)) continue
    for (const word of knownWords(command))
      for (const damage of sqlDamage(word)) found.push({ message: `SQL that ${damage}.`, path })
  }
  const isDatabase = nameWords.some((word) => /^(?:sql|db|database|postgres|mysql|sqlite|query)$/.test(word))
  for (const { path, key, text } of leaves) {
    if (!isDatabase && !SQL_KEYS.test(key) && !looksLikeSql(text)) continue
    for (const damage of sqlDamage(text)) found.push({ message: `SQL that ${damage}.`, path })
  }
  if (nameWords.some((word) => VERBS.has(word)))
    found.push({ message: 'The name of the call says that it deletes.', path: null })
  if (action.kind === 'http' && action.http.method.toUpperCase() === 'DELETE')
    found.push({ message: 'The request has the method DELETE.', path: null })
  if (action.kind === 'mcp' && action.mcp.annotations?.destructiveHint === true)
    found.push({ message: 'The server says that its tool destroys.', path: null })
  return found
}
