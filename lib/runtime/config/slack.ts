import { type Static, Type } from 'typebox'
import { parseDuration } from '../../core/duration.ts'
import { RISKS, type Risk } from '../../core/events.ts'
import { globFault } from '../../core/policy/glob.ts'
import { closed, DurationText, Name } from './fields.ts'

const Channel = Type.String({ pattern: '^(#[^\\s#]{1,80}|[CG][A-Z0-9]{2,20})$' })
const Globs = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 100 })

/** `slack` of countersign.yaml; the tokens come from SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET and SLACK_APP_TOKEN. */
export const SlackFile = Type.Object(
  {
    channel: Type.Optional(Channel),
    users: Type.Optional(Type.Record(Type.String({ pattern: '^[UW][A-Z0-9]{2,20}$' }), Name, closed)),
    routes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            rules: Type.Optional(Globs),
            tools: Type.Optional(Globs),
            risks: Type.Optional(Type.Array(Type.Enum([...RISKS]), { minItems: 1 })),
            channel: Channel,
          },
          closed,
        ),
        { maxItems: 100 },
      ),
    ),
    mode: Type.Optional(Type.Union([Type.Literal('decide'), Type.Literal('notify-only')])),
    tenant: Type.Optional(Name),
    apiUrl: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#]+$', maxLength: 200 })),
    apiTimeout: Type.Optional(DurationText),
  },
  closed,
)

export interface SlackConfig {
  /** Where cards go that no route sends elsewhere: `#name` or an id. Undefined where the file leaves it out. */
  channel: string | undefined
  /** Slack user id → name of the approver. */
  users: ReadonlyMap<string, string>
  /** The first that fits takes the card. Every list that is not empty must fit. */
  routes: { rules: string[]; tools: string[]; risks: Risk[]; channel: string }[]
  mode: 'decide' | 'notify-only'
  tenant: string
  /** Ends in a slash. */
  apiUrl: string
  apiTimeoutMs: number
}

/** What cards need beside `slack` of the file: how the workspace is reached, and how clicks come in. */
export interface SlackSettings extends SlackConfig {
  channel: string
  botToken: string
  /** Checks `POST /slack/actions`; undefined where clicks do not come that way. */
  signingSecret: string | undefined
  /** Opens Socket Mode; undefined where clicks do not come that way. */
  appToken: string | undefined
}

const LONGEST_TIMEOUT_MS = 30_000

export function readSlack(file: Static<typeof SlackFile> | undefined, problems: string[]): SlackConfig | undefined {
  if (!file) return undefined
  const routes = (file.routes ?? []).map(({ rules = [], tools = [], risks = [], channel }) => ({
    ...{ rules, tools, risks, channel },
  }))
  for (const [index, { rules, tools }] of routes.entries())
    for (const glob of [...rules, ...tools]) {
      const fault = globFault(glob)
      if (fault) problems.push(`slack.routes.${index}: ${fault}`)
    }
  const apiTimeoutMs = parseDuration(file.apiTimeout ?? '5s') ?? 0
  if (apiTimeoutMs < 100 || apiTimeoutMs > LONGEST_TIMEOUT_MS)
    problems.push('slack.apiTimeout must be between 100ms and 30s')
  return {
    channel: file.channel,
    users: new Map(Object.entries(file.users ?? {})),
    routes,
    mode: file.mode ?? 'decide',
    tenant: file.tenant ?? 'default',
    apiUrl: (file.apiUrl ?? 'https://slack.com/api/').replace(/\/*$/, '/'),
    apiTimeoutMs,
  }
}

/**
 * For the processes that post cards; the others need no tokens. Adds everything that is missing to `problems`, by name.
 * Undefined where the configuration has no `slack`.
 */
export function readSlackSettings(
  config: SlackConfig | undefined,
  env: Record<string, string | undefined>,
  problems: string[],
): SlackSettings | undefined {
  if (!config) return undefined
  const { SLACK_BOT_TOKEN: botToken = '', SLACK_SIGNING_SECRET: signingSecret, SLACK_APP_TOKEN: appToken } = env
  const { channel = '' } = config
  if (channel === '') problems.push('slack.channel is missing')
  if (botToken === '') problems.push('SLACK_BOT_TOKEN is missing')
  else if (!/^xoxb-[\x21-\x7e]{1,250}$/.test(botToken)) problems.push('SLACK_BOT_TOKEN must be a bot token (xoxb-…)')
  if (appToken && !/^xapp-[\x21-\x7e]{1,250}$/.test(appToken))
    problems.push('SLACK_APP_TOKEN must be an app-level token (xapp-…)')
  if (config.mode === 'decide' && !appToken && !signingSecret)
    problems.push('SLACK_SIGNING_SECRET is missing (or SLACK_APP_TOKEN, for Socket Mode)')
  if (signingSecret && !/^[\x21-\x7e]{16,256}$/.test(signingSecret))
    problems.push('SLACK_SIGNING_SECRET must be 16 to 256 visible characters')
  return { ...config, channel, botToken, signingSecret: signingSecret || undefined, appToken: appToken || undefined }
}
