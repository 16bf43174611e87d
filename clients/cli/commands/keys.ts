import { Command, InvalidArgumentError, Option } from 'commander'
import type { Deps } from '../deps.ts'
import { CliError } from '../failure.ts'
import { ROLES, type Role } from '../local.ts'
import { withData } from '../options.ts'
import { jsonText, printable } from '../printable.ts'
import { table } from '../table.ts'

type Common = { data: string; json?: boolean }
type CreateOptions = Common & { name: string; role: Role; tenant: string; groups: string[]; email?: string }

/** Keys of the data directory, beside a server that may run: a change counts from the next request on. */
export function keysCommand(deps: Deps): Command {
  const command = new Command('keys').description('who may ask, and who may decide')

  withData(command.command('create'))
    .description('make a key; it is shown once')
    .requiredOption('--name <name>', 'whose it is, as rules and the audit name it', nameOf)
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--tenant <tenant>', 'the tenant', nameOf, 'default')
    .option('--groups <a,b>', 'groups of an approver, as rules name them', namesOf, [])
    .option('--email <email>', 'address of an approver', emailOf)
    .action((options: CreateOptions) => create(options, deps))

  withData(command.command('list'))
    .description('list keys; secrets are not kept and cannot be shown')
    .action((options: Common) => list(options, deps))

  withData(command.command('revoke'))
    .description('end a key and its sessions at once')
    .argument('<id>', 'key id, from `keys list`')
    .action((id: string, options: Common) => revoke(id, options, deps))

  return command.addHelpText(
    'after',
    `
Examples:
  $ countersign keys create --name builder --role agent
  $ countersign keys create --name alice --role approver --groups finance,ops --email alice@example.com
  $ export COUNTERSIGN_TOKEN=$(countersign keys create --name ci --role approver --json | jq -r .key)`,
  )
}

async function create({ data, json, email, ...request }: CreateOptions, { local, terminal }: Deps): Promise<void> {
  const { id, secret } = await local.createKey(data, { ...request, email: email ?? null })
  const { name, role, tenant } = request
  if (json) return terminal.out(jsonText({ id, name, role, tenant, key: secret }))
  terminal.out(secret)
  terminal.err(`\n${role} ${name} (${id}, tenant ${tenant}). Keep the key: it is not shown again.`)
}

async function list({ data, json }: Common, { local, terminal }: Deps): Promise<void> {
  const keys = (await local.listKeys(data)).map(({ createdAt, ...rest }) => ({
    ...rest,
    createdAt: new Date(createdAt).toISOString(),
  }))
  if (json) return terminal.out(jsonText({ items: keys }, 2))
  if (keys.length === 0) return terminal.err('There are no keys yet.')
  const lines = table(
    [
      { head: 'ID', cell: ({ id }) => printable(id) },
      { head: 'NAME', cell: ({ name }) => printable(name) },
      { head: 'ROLE', cell: ({ role }) => role },
      { head: 'TENANT', cell: ({ tenant }) => printable(tenant) },
      { head: 'CREATED', cell: ({ createdAt }) => createdAt },
      { head: 'GROUPS', cell: ({ groups }) => groups.map(printable).join(',') || '-' },
    ],
    keys,
    { width: terminal.width(), paintHead: terminal.colors.bold },
  )
  for (const line of lines) terminal.out(line)
}

async function revoke(id: string, { data, json }: Common, { local, terminal }: Deps): Promise<void> {
  if (!(await local.revokeKey(data, id))) throw new CliError(`There is no key ${printable(id)}.`, 1)
  terminal.out(json ? jsonText({ id, revoked: true }) : `revoked ${id}`)
}

function nameOf(text: string): string {
  if (!/^[A-Za-z0-9._@-]{1,64}$/.test(text))
    throw new InvalidArgumentError('It must be 1 to 64 letters, digits, or one of . _ @ -')
  return text
}

const namesOf = (text: string): string[] => [...new Set(text.split(',').map((name) => nameOf(name.trim())))]

function emailOf(text: string): string {
  if (!/^[^\s@]+@[^\s@]+$/.test(text) || text.length > 254) throw new InvalidArgumentError('It must be an address.')
  return text
}
