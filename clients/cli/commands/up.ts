import { Command } from 'commander'
import { DEFAULT_DATA } from '../connection.ts'
import type { Deps } from '../deps.ts'
import type { RunningServer } from '../local.ts'
import { wholeNumber } from '../options.ts'

interface UpCommandOptions {
  port: number
  host: string
  data: string
  waitFor: number
  policy?: string
  config?: string
}

export function upCommand(deps: Deps): Command {
  return new Command('up')
    .description('run Countersign: gate, decider, notifier and page in one process')
    .option('--port <n>', 'port; 0 takes a free one', wholeNumber(0, 65_535), 4100)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--data <dir>', 'where records, events and keys are kept', DEFAULT_DATA)
    .option('--wait-for <seconds>', 'how long to wait for Kafka and MongoDB that are away', wholeNumber(0, 86_400), 0)
    .option('--policy <file>', 'the rules (default: policy.yaml, if it is there)')
    .option('--config <file>', 'configuration (default: countersign.yaml, if it is there)')
    .action((options: UpCommandOptions) => up(options, deps))
    .addHelpText(
      'after',
      `
Runs over the data directory alone; over Kafka and MongoDB where KAFKA_BROKERS and MONGODB_URL are set.
The line on stdout that starts with "ready" names the address; logs go to stderr.
A policy that changes is read again, at SIGHUP too; one that is wrong changes nothing.
Exits 0 after SIGTERM or SIGINT, 2 on wrong configuration, 3 when the port, the data directory or an engine cannot be
used.

Examples:
  $ countersign up
  $ countersign up --port 0 --data /var/lib/countersign --policy rules.yaml`,
    )
}

async function up({ port, host, data, waitFor, policy, config }: UpCommandOptions, deps: Deps): Promise<void> {
  const interrupted = deps.interrupted()
  let server: RunningServer | undefined
  deps.onHangup(() => server?.reloadPolicy())
  server = await deps.local.up({
    port,
    host,
    dataDir: data,
    waitForMs: waitFor * 1_000,
    ...(policy === undefined ? {} : { policyFile: policy }),
    ...(config === undefined ? {} : { configFile: config }),
  })
  for (const line of welcome(server, data, deps)) deps.terminal.out(line)
  deps.terminal.out(`ready ${server.url}`)
  if (!interrupted.aborted)
    await new Promise<void>((resolve) => interrupted.addEventListener('abort', () => resolve(), { once: true }))
  await server.close()
}

/** The first start says how to see it work; later ones only where the page is. */
function welcome(server: RunningServer, data: string, { terminal, version }: Deps): string[] {
  const { bold, dim, cyan } = terminal.colors
  const { url, agentKey, loginUrl } = server
  const page = [
    `  ${bold('Page')}    ${cyan(loginUrl ?? url)}`,
    `          ${dim(loginUrl ? 'signs you in once, within 10 minutes; then: npx countersign login' : 'sign in with a token: npx countersign keys create --role approver --name NAME')}`,
  ]
  const title = [
    '',
    `  ${bold(`Countersign ${version}`)}  ${dim(server.onEngines ? 'over Kafka and MongoDB' : `data in ${data}`)}`,
    '',
  ]
  if (!server.created || agentKey === undefined) return [...title, ...page, '']
  return [
    ...title,
    ...page,
    '',
    `  ${bold('Try it')}  an agent asks, and waits for you (in another terminal):`,
    '',
    ...tryIt(url, agentKey),
    '',
    `  ${bold('Decide')}  on the page, or: ${cyan('npx countersign approvals watch')}`,
    '',
  ]
}

const tryIt = (url: string, agentKey: string): string[] => [
  `curl -sS ${url}/v1/actions \\`,
  `  -H 'Authorization: Bearer ${agentKey}' \\`,
  `  -H 'Content-Type: application/json' \\`,
  `  -d '{"tool": "Bash", "args": {"command": "rm -rf ./build"}}'`,
]
