import { X509Certificate } from 'node:crypto'
import { type Static, type TObject, type TProperties, Type } from 'typebox'
import { RISKS, type Risk } from '../../core/events.ts'
import { NOTIFICATION_TYPES } from '../../core/notification.ts'
import type { NotificationFilter } from '../../core/notification-filter.ts'
import { globFault } from '../../core/policy/glob.ts'
import { closed, Name } from './fields.ts'

const Text = Type.String({ minLength: 1, maxLength: 1_024 })
/** What a header may carry. */
const Token = Type.String({ pattern: '^[\\x21-\\x7e]{1,512}$' })
const Address = '[^\\s@<>"(),:;\\[\\]\\\\\\x00-\\x20\\x7f]{1,64}@[A-Za-z0-9.-]{1,253}'
const Globs = Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 100 })

/** What every channel has. */
const COMMON = {
  id: Name,
  events: Type.Optional(Type.Array(Type.Enum([...NOTIFICATION_TYPES]), { minItems: 1 })),
  risks: Type.Optional(Type.Array(Type.Enum([...RISKS]), { minItems: 1 })),
  tools: Type.Optional(Globs),
  rules: Type.Optional(Globs),
  tenant: Type.Optional(Name),
}

const ofType = <T extends string, P extends TProperties>(type: T, own: P) =>
  Type.Object({ ...COMMON, type: Type.Literal(type), ...own }, closed)

/** By risk. */
const priority = (minimum: number, maximum: number) =>
  Type.Optional(
    Type.Record(Type.String({ pattern: `^(${RISKS.join('|')})$` }), Type.Integer({ minimum, maximum }), closed),
  )

const Email = ofType('email', {
  smtp: Type.Object(
    {
      host: Type.String({ pattern: '^[A-Za-z0-9.:-]{1,253}$' }),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
      secure: Type.Optional(Type.Enum(['tls', 'starttls', 'none'])),
      user: Type.Optional(Text),
      password: Type.Optional(Text),
      ca: Type.Optional(Type.String({ maxLength: 65_536 })),
    },
    closed,
  ),
  from: Type.String({ pattern: `^(?:[^<>"\\x00-\\x1f\\x7f]{0,100}<${Address}>|${Address})$` }),
  to: Type.Array(Type.String({ pattern: `^${Address}$` }), { minItems: 1, maxItems: 50, uniqueItems: true }),
})
const Ntfy = ofType('ntfy', {
  url: Type.Optional(Text),
  topic: Type.String({ pattern: '^[-_A-Za-z0-9]{1,64}$' }),
  token: Type.Optional(Token),
  priority: priority(1, 5),
})
const Gotify = ofType('gotify', { url: Text, token: Token, priority: priority(0, 10) })
const Teams = ofType('teams', { url: Text })
const Discord = ofType('discord', { url: Text })

type Entry =
  | Static<typeof Email>
  | Static<typeof Ntfy>
  | Static<typeof Gotify>
  | Static<typeof Teams>
  | Static<typeof Discord>

const oneOf: TObject[] = [Email, Ntfy, Gotify, Teams, Discord]

/** `channels` of countersign.yaml: e-mail, push and chat, each told of approvals. A fault is told for its `type` alone. */
export const ChannelsFile = Type.Array(
  Type.Unsafe<Entry>({ type: 'object', discriminator: { propertyName: 'type' }, required: ['type'], oneOf }),
  { maxItems: 100 },
)

interface Base {
  id: string
  tenant: string
  filter: NotificationFilter
}

type Priorities = Record<Risk, number>

export interface EmailConfig extends Base {
  type: 'email'
  smtp: {
    host: string
    port: number
    security: 'tls' | 'starttls' | 'none'
    login: { user: string; password: string } | undefined
    /** Authorities to trust in place of the system's, as PEM. */
    ca: string | undefined
  }
  from: { name: string; address: string }
  to: string[]
}

export interface NtfyConfig extends Base {
  type: 'ntfy'
  url: string
  topic: string
  token: string | undefined
  priority: Priorities
}

export interface GotifyConfig extends Base {
  type: 'gotify'
  url: string
  token: string
  priority: Priorities
}

/** `url` is a secret. */
export interface ChatConfig extends Base {
  type: 'teams' | 'discord'
  url: string
}

export type ChannelConfig = EmailConfig | NtfyConfig | GotifyConfig | ChatConfig

/** Whether the call was executed is for systems to know: people asked for it by name. */
const DEFAULT_EVENTS = NOTIFICATION_TYPES.filter((type) => type !== 'approval.settled')
const NTFY_PRIORITY: Priorities = { low: 2, medium: 3, high: 4, critical: 5 }
const GOTIFY_PRIORITY: Priorities = { low: 2, medium: 5, high: 8, critical: 10 }

export function readChannels(file: Static<typeof ChannelsFile> = [], problems: string[]): ChannelConfig[] {
  const ids = file.map(({ id }) => id)
  if (new Set(ids).size < ids.length) problems.push('channels must not use an id twice')
  return file.map((entry, index) => read(entry, `channels.${index}`, problems))
}

function read(entry: Entry, path: string, problems: string[]): ChannelConfig {
  const base = { id: entry.id, tenant: entry.tenant ?? 'default', filter: readFilter(entry, path, problems) }
  switch (entry.type) {
    case 'email':
      return { ...base, type: 'email', smtp: readSmtp(entry.smtp, path, problems), ...mailboxes(entry) }
    case 'ntfy': {
      const { url = 'https://ntfy.sh', topic, token } = entry
      // Topics are published to by JSON at the root, and there alone.
      if (!isWebUrl(url) || new URL(url).pathname !== '/' || new URL(url).search !== '')
        problems.push(
          `${path}.url must be the address of the server alone, like https://ntfy.sh: the topic has its own key`,
        )
      return { ...base, type: 'ntfy', url, topic, token, priority: { ...NTFY_PRIORITY, ...entry.priority } }
    }
    case 'gotify': {
      const { url, token } = entry
      if (!isWebUrl(url) || new URL(url).search !== '')
        problems.push(
          `${path}.url must be the address of the server, http://… or https://…, without credentials and query`,
        )
      return { ...base, type: 'gotify', url, token, priority: { ...GOTIFY_PRIORITY, ...entry.priority } }
    }
    case 'teams':
    case 'discord':
      if (!isWebUrl(entry.url))
        problems.push(`${path}.url must be the webhook's http://… or https://… address, without credentials`)
      return { ...base, type: entry.type, url: entry.url }
  }
}

function readFilter(entry: Entry, path: string, problems: string[]): NotificationFilter {
  const { events = DEFAULT_EVENTS, risks = [], tools = [], rules = [] } = entry
  for (const [name, globs] of Object.entries({ tools, rules }))
    for (const [index, glob] of globs.entries()) {
      const fault = globFault(glob)
      if (fault !== undefined) problems.push(`${path}.${name}.${index}: ${fault}`)
    }
  return { events, risks, tools, rules }
}

const TLS_PORT = 465
const SUBMISSION_PORT = 587
const RELAY_PORT = 25

function readSmtp(smtp: Static<typeof Email>['smtp'], path: string, problems: string[]): EmailConfig['smtp'] {
  const { host, port, user, password, ca } = smtp
  const security = smtp.secure ?? (port === TLS_PORT ? 'tls' : 'starttls')
  const usual = security === 'tls' ? TLS_PORT : security === 'starttls' ? SUBMISSION_PORT : RELAY_PORT
  if ((user === undefined) !== (password === undefined))
    problems.push(`${path}.smtp must have user and password both, or neither`)
  if (security === 'none' && password !== undefined)
    problems.push(`${path}.smtp.password must not go over a connection without TLS (secure: none)`)
  if (ca !== undefined && !isCertificate(ca)) problems.push(`${path}.smtp.ca must be certificates as PEM`)
  const login = user === undefined || password === undefined ? undefined : { user, password }
  return { host, port: port ?? usual, security, login, ca }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return true
  } catch {
    return false
  }
}

function mailboxes({ from, to }: Static<typeof Email>): Pick<EmailConfig, 'from' | 'to'> {
  const [, name = '', address = from] = /^(.*)<(.*)>$/.exec(from) ?? []
  return { from: { name: name.trim(), address }, to }
}

function isWebUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false
  const { username, password, hash } = new URL(text)
  return username === '' && password === '' && hash === ''
}
