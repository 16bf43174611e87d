import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { Ajv } from 'ajv'
import { type Static, Type } from 'typebox'
import { parseDocument } from 'yaml'
import { parseDuration } from '../core/duration.ts'
import { LEVELS, type Level } from '../core/policy/policy.ts'
import { type CallbackConfig, CallbacksFile, PublicUrl, readCallbacks, readPublicUrl } from './config/callbacks.ts'
import { type ChannelConfig, ChannelsFile, readChannels } from './config/channels.ts'
import { closed, DurationText, Name, parseSize, Sha256, SizeText } from './config/fields.ts'
import { McpFile, type McpServer, readMcp } from './config/mcp.ts'
import { type NetworkConfig, NetworkFile, readNetwork } from './config/network.ts'
import { readSlack, type SlackConfig, SlackFile } from './config/slack.ts'
import { readUpstreams, type Upstream, UpstreamsFile } from './config/upstreams.ts'
import { type ListedWebhook, readWebhooks, WebhooksFile } from './config/webhooks.ts'
import { isLogLevel } from './logger.ts'

/** countersign.yaml. Every key has a default; docs/reference/configuration.md describes each. */
export const ConfigFile = Type.Object(
  {
    gate: Type.Optional(
      Type.Object(
        {
          maxHolds: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          maxHoldsPerAgent: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
          maxWait: Type.Optional(DurationText),
          hookWait: Type.Optional(DurationText),
          holdFor: Type.Optional(DurationText),
          maxBody: Type.Optional(SizeText),
          maxSpool: Type.Optional(SizeText),
          spoolDir: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
          rateLimitShare: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
        },
        closed,
      ),
    ),
    approvers: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            email: Type.Optional(Type.String({ maxLength: 254 })),
            groups: Type.Optional(Type.Array(Name)),
            role: Type.Optional(
              Type.Union([Type.Literal('approver'), Type.Literal('admin'), Type.Literal('observer')]),
            ),
            tenant: Type.Optional(Name),
            tokenSha256: Type.Optional(Sha256),
          },
          closed,
        ),
      ),
    ),
    agents: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            tenant: Type.Optional(Name),
            keySha256: Type.Optional(Sha256),
            type: Type.Optional(Name),
            autonomy: Type.Optional(Type.Enum([...LEVELS])),
          },
          closed,
        ),
      ),
    ),
    retention: Type.Optional(
      Type.Object({ approvals: Type.Optional(DurationText), events: Type.Optional(DurationText) }, closed),
    ),
    topics: Type.Optional(
      Type.Object(
        {
          decide: Type.Optional(Type.Union([Type.Literal('refused'), Type.Literal('allowed')])),
          prefix: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{0,64}$' })),
          create: Type.Optional(Type.Boolean()),
          partitions: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
          replicationFactor: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })),
        },
        closed,
      ),
    ),
    upstreams: Type.Optional(UpstreamsFile),
    mcp: Type.Optional(McpFile),
    webhooks: Type.Optional(WebhooksFile),
    slack: Type.Optional(SlackFile),
    channels: Type.Optional(ChannelsFile),
    network: Type.Optional(NetworkFile),
    callbacks: Type.Optional(CallbacksFile),
    publicUrl: Type.Optional(PublicUrl),
  },
  closed,
)

export interface Config {
  gate: {
    maxHolds: number
    maxHoldsPerAgent: number
    maxWaitMs: number
    /** Longest wait of one hook. */
    hookWaitMs: number
    /** Longest wait of one MCP call where its server's mode is `auto`. */
    holdForMs: number
    maxBodyBytes: number
    /** How much of the bodies of held calls may be on disk; 0: nothing. */
    maxSpoolBytes: number
    spoolDir: string
    /** How much of each rate limit this gate lets through: above 0, at most 1. */
    rateLimitShare: number
  }
  approvers: {
    name: string
    email: string | undefined
    groups: string[]
    role: 'approver' | 'admin' | 'observer'
    tenant: string
    tokenSha256: string | undefined
  }[]
  agents: {
    name: string
    tenant: string
    keySha256: string | undefined
    type: string | undefined
    autonomy: Level | undefined
  }[]
  retention: { approvalsMs: number; eventsMs: number }
  topics: {
    decide: 'refused' | 'allowed'
    prefix: string
    create: boolean
    partitions: number
    replicationFactor: number
  }
  upstreams: Upstream[]
  mcp: McpServer[]
  webhooks: ListedWebhook[]
  /** Undefined where the file has no `slack`. */
  slack: SlackConfig | undefined
  channels: ChannelConfig[]
  network: NetworkConfig
  /** Undefined where the file has no `callbacks`: then no agent may name one. */
  callbacks: CallbackConfig | undefined
  /** How others reach this server; undefined: by the URL that it listens on. */
  publicUrl: string | undefined
  logLevel: string
}

/** Everything that is wrong with a configuration, by name and never by value. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(`the configuration is not valid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

const validate = new Ajv({ allErrors: true, discriminator: true }).compile<Static<typeof ConfigFile>>(ConfigFile)

/**
 * Reads countersign.yaml (a missing file is all defaults, unless `required`) and the environment.
 * Throws ConfigError with every fault at once.
 */
export function loadConfig(options: { file: string; required?: boolean; env?: NodeJS.ProcessEnv }): Config {
  const env = options.env ?? process.env
  const problems: string[] = []
  const file = readFile(options.file, options.required ?? false, env, problems)
  const logLevel = env.COUNTERSIGN_LOG_LEVEL ?? 'info'
  if (!isLogLevel(logLevel))
    problems.push('COUNTERSIGN_LOG_LEVEL must be trace, debug, info, warn, error, fatal or silent')

  const config: Config = {
    gate: {
      maxHolds: file.gate?.maxHolds ?? 10_000,
      maxHoldsPerAgent: file.gate?.maxHoldsPerAgent ?? 500,
      maxWaitMs: parseDuration(file.gate?.maxWait ?? '4m') ?? 0,
      hookWaitMs: parseDuration(file.gate?.hookWait ?? '570s') ?? 0,
      holdForMs: parseDuration(file.gate?.holdFor ?? '45s') ?? 0,
      maxBodyBytes: parseSize(file.gate?.maxBody ?? '1MiB'),
      maxSpoolBytes: parseSize(file.gate?.maxSpool ?? '1GiB'),
      spoolDir: file.gate?.spoolDir ?? tmpdir(),
      rateLimitShare: file.gate?.rateLimitShare ?? 1,
    },
    approvers: (file.approvers ?? []).map((approver) => ({
      name: approver.name,
      email: approver.email,
      groups: approver.groups ?? [],
      role: approver.role ?? 'approver',
      tenant: approver.tenant ?? 'default',
      tokenSha256: approver.tokenSha256,
    })),
    agents: (file.agents ?? []).map((agent) => ({
      name: agent.name,
      tenant: agent.tenant ?? 'default',
      keySha256: agent.keySha256,
      type: agent.type,
      autonomy: agent.autonomy,
    })),
    retention: {
      approvalsMs: parseDuration(file.retention?.approvals ?? '90d') ?? 0,
      eventsMs: parseDuration(file.retention?.events ?? '14d') ?? 0,
    },
    topics: {
      decide: file.topics?.decide ?? 'refused',
      prefix: file.topics?.prefix ?? '',
      create: file.topics?.create ?? true,
      partitions: file.topics?.partitions ?? 6,
      replicationFactor: file.topics?.replicationFactor ?? 1,
    },
    upstreams: readUpstreams(file.upstreams, problems),
    mcp: readMcp(file.mcp, problems),
    webhooks: readWebhooks(file.webhooks, problems),
    slack: readSlack(file.slack, problems),
    channels: readChannels(file.channels, problems),
    network: readNetwork(file.network, problems),
    callbacks: readCallbacks(file.callbacks, problems),
    publicUrl: readPublicUrl(file.publicUrl, problems),
    logLevel,
  }
  if (config.retention.approvalsMs < config.retention.eventsMs)
    problems.push('retention.approvals must not be shorter than retention.events: events would outlive their records')
  if (config.gate.maxWaitMs < 1_000) problems.push('gate.maxWait must be at least 1s')
  if (config.gate.hookWaitMs < 1_000) problems.push('gate.hookWait must be at least 1s')
  if (config.gate.holdForMs < 1_000) problems.push('gate.holdFor must be at least 1s')
  if (config.slack && [...config.webhooks, ...config.channels].some(({ id }) => id === 'slack'))
    problems.push('webhooks and channels must not have the id slack: it is the one of Slack')
  for (const list of ['agents', 'approvers'] as const) {
    const names = config[list].map(({ tenant, name }) => `${tenant}/${name}`)
    if (new Set(names).size < names.length) problems.push(`${list} must not name anybody twice`)
  }
  const channelIds = new Set(config.channels.map(({ id }) => id))
  if (config.webhooks.some(({ id }) => channelIds.has(id)))
    problems.push('webhooks and channels must not share an id: escalation steps name both')
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

function readFile(
  file: string,
  required: boolean,
  env: NodeJS.ProcessEnv,
  problems: string[],
): Static<typeof ConfigFile> {
  if (!existsSync(file)) {
    if (required) problems.push(`${file} does not exist`)
    return {}
  }
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    problems.push(`${file} cannot be read (${error instanceof Error && 'code' in error ? error.code : 'error'})`)
    return {}
  }
  const document = parseDocument(text, { prettyErrors: false })
  for (const { code, linePos } of document.errors) problems.push(`${file} line ${linePos?.[0].line ?? '?'}: ${code}`)
  if (document.errors.length > 0) return {}
  const content: unknown = substitute(document.toJS() ?? {}, env, '', problems)
  if (validate(content)) return content
  for (const error of validate.errors ?? []) {
    const extra = error.keyword === 'additionalProperties' ? ` (${error.params.additionalProperty})` : ''
    const path = error.instancePath.slice(1).replaceAll('/', '.')
    problems.push(`${path === '' ? file : path} ${error.message}${extra}`)
  }
  return {}
}

/** `${NAME}` in a text takes from the environment; a missing name is a fault, not an empty text. */
function substitute(value: unknown, env: NodeJS.ProcessEnv, path: string, problems: string[]): unknown {
  if (typeof value === 'string')
    return value.replace(/\$\{([A-Z_][A-Z0-9_]*)\}/g, (_, name: string) => {
      const found = env[name]
      if (found === undefined) problems.push(`${path} needs the environment variable ${name}`)
      return found ?? ''
    })
  if (Array.isArray(value)) return value.map((item, index) => substitute(item, env, `${path}.${index}`, problems))
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        substitute(item, env, path === '' ? key : `${path}.${key}`, problems),
      ]),
    )
  return value
}
