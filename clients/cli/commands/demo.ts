import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { type ApprovalView, type Client, CountersignClientError, type Decision, type Denied } from '../../sdk/index.ts'
import { clientFor, DEFAULT_DATA } from '../connection.ts'
import type { Deps } from '../deps.ts'
import { CliError, usageError } from '../failure.ts'
import { wholeNumber } from '../options.ts'
import { printable } from '../printable.ts'
import { confirm } from '../terminal.ts'

interface DemoOptions {
  auto?: boolean
  url?: string
  key?: string
  token?: string
  port?: number
  data: string
}

/** Both sides of one server, and how to leave it. */
interface Stage {
  url: string
  agent: Client
  person: Client
  page: string
  close(): Promise<void>
}

const POLICY = `version: 1
default: allow
rules:
  - id: recursive-delete
    match: { tool: Bash }
    when:
      - { path: args.command, startsWith: "rm -rf" }
    action: require_approval
    approval: { timeout: 5m }
    risk: high
`

export function demoCommand(deps: Deps): Command {
  return new Command('demo')
    .description('see the loop in a minute: an agent is held, you decide, it goes on')
    .option('--auto', 'decide by itself: approves one call and denies one')
    .option('--url <url>', 'play on this server (with --key and --token; default: the local one, else an own)')
    .option('--key <key>', 'agent key for --url')
    .option('--token <token>', 'approver token for --url')
    .option('--port <n>', 'start an own server, on this port', wholeNumber(0, 65_535))
    .option('--data <dir>', 'data directory of the local server', DEFAULT_DATA)
    .action((options: DemoOptions) => demo(options, deps))
    .addHelpText(
      'after',
      '\nNothing is really deleted: the agent is played.\n\nExamples:\n  $ countersign demo\n  $ countersign demo --auto',
    )
}

async function demo(options: DemoOptions, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { bold } = terminal.colors
  const stop = deps.interrupted()
  const stage = await setStage(options, deps)
  try {
    terminal.out('')
    terminal.out(`  ${bold('Countersign demo')}  on ${stage.url}`)
    for (const decision of options.auto ? (['approve', 'deny'] as const) : [undefined])
      await play(stage, decision, stop, deps)
    terminal.out('')
  } finally {
    await stage.close()
  }
}

async function setStage(options: DemoOptions, deps: Deps): Promise<Stage> {
  const { local } = deps
  const { url, key, token, data } = options
  const at = (server: string, agentKey: string, approverToken: string) => ({
    url: server,
    agent: clientFor(server, agentKey, deps),
    person: clientFor(server, approverToken, deps),
  })
  if (url !== undefined) {
    if (key === undefined || token === undefined) throw usageError('--url needs --key and --token.')
    return { ...at(url, key, token), page: url, close: async () => {} }
  }
  const owner = options.port === undefined ? await local.owner(data) : undefined
  if (owner && (await isRunning(owner.url))) {
    const page = await local.loginLink(data)
    return { ...at(owner.url, owner.agentKey, owner.token), page, close: async () => {} }
  }

  const dataDir = await mkdtemp(join(tmpdir(), 'countersign-demo-'))
  const sweep = () => rm(dataDir, { recursive: true, force: true })
  try {
    // Its own rules and configuration: those of the folder it is started in may ask about other things.
    const policyFile = join(dataDir, 'policy.yaml')
    const configFile = join(dataDir, 'countersign.yaml')
    await writeFile(policyFile, POLICY)
    await writeFile(configFile, '{}\n')
    const server = await local.up({
      port: options.port ?? 0,
      host: '127.0.0.1',
      dataDir,
      embedded: true,
      policyFile,
      configFile,
      quiet: true,
    })
    const close = async () => {
      await server.close()
      await sweep()
    }
    const mine = await local.owner(dataDir)
    if (!mine) throw new CliError('The server did not name its owner.', 3)
    return { ...at(server.url, mine.agentKey, mine.token), page: server.loginUrl ?? server.url, close }
  } catch (error) {
    await sweep()
    throw error
  }
}

const isRunning = (url: string): Promise<boolean> =>
  fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1000) }).then(
    ({ ok }) => ok,
    () => false,
  )

/** One call of the agent, from question to outcome. Without a decision a person decides. */
async function play(stage: Stage, auto: Decision | undefined, stop: AbortSignal, deps: Deps): Promise<void> {
  const { terminal } = deps
  const { bold, dim, green, red, yellow, cyan } = terminal.colors
  const say = (word: string, text: string) => terminal.out(`  ${word.padEnd(8)}  ${text}`)
  const command = `rm -rf ./build-${randomBytes(2).toString('hex')}`

  terminal.out('')
  say('agent', `wants to run  ${bold(command)}`)
  const decided = new AbortController()
  let asking: Promise<void> = Promise.resolve()
  let failure: unknown
  const result = await stage.agent
    .guard(
      'Bash',
      { command },
      {
        signal: stop,
        context: { session: 'demo' },
        onPending: ({ approvalId }) => {
          say('held', `${yellow(approvalId)}  nothing runs until a person decides`)
          asking = (
            auto ? decideBy(stage, approvalId, auto, say) : ask(stage, approvalId, decided.signal, say, deps)
          ).catch(async (error: unknown) => {
            failure = error
            await stage.agent.withdraw(approvalId).catch(() => undefined)
          })
        },
      },
    )
    .finally(async () => {
      decided.abort()
      await asking
    })
    .catch((error: unknown) => {
      if (error instanceof CountersignClientError && error.code === 'aborted') throw new CliError('Stopped.', 1)
      throw error
    })
  if (failure !== undefined) throw failure

  if (result.effect === 'deny') {
    refusedOrThrow(result)
    const by = result.approvalId === undefined ? '' : byWhom(await stage.person.approvals.get(result.approvalId))
    say('denied', `${red(result.code)}${by}${dim('  the agent gets this as an answer; the command never ran')}`)
    return
  }
  if (result.approvalId === undefined) {
    say('allowed', 'the rules of this server let it run without asking')
    throw new CliError('Nothing to show here: try `countersign demo --port 0`, which brings its own rules.', 1)
  }
  const approved = await stage.person.approvals.get(result.approvalId)
  say(
    'allowed',
    `${green('approved')}${byWhom(approved)}  the agent goes on with  ${bold(printable(String(result.args.command)))}`,
  )
  await result.report('executed', 'played: nothing was deleted')
  const { history = [] } = await stage.person.approvals.get(result.approvalId)
  say('record', `${history.map(({ type }) => type).join(', ')}${dim('  each step is chained to the one before')}`)
  if (!auto) say('next', `${cyan('countersign up')}${dim(', then send it your own agent’s calls')}`)
}

type Say = (word: string, text: string) => void

async function decideBy(stage: Stage, id: string, decision: Decision, say: Say): Promise<void> {
  say('person', decision === 'approve' ? 'approves' : 'denies, and says why')
  await stage.person.approvals.decide(
    id,
    decision,
    decision === 'deny' ? { reason: 'Not while the release runs.' } : {},
  )
}

/** Here or on the page, whichever comes first. */
async function ask(stage: Stage, id: string, decided: AbortSignal, say: Say, deps: Deps): Promise<void> {
  const { terminal } = deps
  say('you', `decide on the page:  ${terminal.colors.cyan(stage.page)}`)
  if (!terminal.interactive) return
  const yes = await confirm(terminal, '            or here. Approve?', decided)
  if (decided.aborted) return
  await stage.person.approvals.decide(id, yes ? 'approve' : 'deny').catch((error: unknown) => {
    // The page was faster: what it said stands.
    if (!(error instanceof CountersignClientError && error.status === 409)) throw error
  })
}

/** A refusal by a person or the clock is part of the play; a gate that could not answer is not. */
function refusedOrThrow({ code, detail, retryable }: Denied): void {
  if (retryable) throw new CliError(printable(detail), code === 'rate_limited' || code === 'too_many_holds' ? 1 : 3)
}

function byWhom({ decidedBy, reason }: ApprovalView): string {
  const names = decidedBy.map(({ name }) => printable(name)).join(', ')
  return `${names === '' ? '' : ` by ${names}`}${reason === undefined ? '' : ` “${printable(reason)}”`}`
}
