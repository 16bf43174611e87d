import type { Approval } from '../../lib/core/approval.ts'
import type { Topic } from '../../lib/core/events.ts'

export const ROLES = ['agent', 'approver', 'admin', 'observer', 'service'] as const
export type Role = (typeof ROLES)[number]

/** What this machine can do without a server's help: run one, and look into a data directory. */
export interface Local {
  /** Starts the three services in this process. Rejects with CliError: 2 configuration, 3 cannot be opened. */
  up(options: UpOptions): Promise<RunningServer>
  /** Starts one service of a fleet in this process, over the engines that the environment names. Rejects as `up` does. */
  service(name: ServiceName, options: ServiceOptions): Promise<RunningService>
  /** Whom `up` made the owner of this directory; undefined where it never ran. */
  owner(dataDir: string): Promise<Owner | undefined>
  /** A fresh link that signs the owner in to the page, once. */
  loginLink(dataDir: string): Promise<string>
  createKey(dataDir: string, request: NewKey): Promise<{ id: string; secret: string }>
  /** Never the secrets, nor their hashes. */
  listKeys(dataDir: string): Promise<KeyInfo[]>
  revokeKey(dataDir: string, id: string): Promise<boolean>
  /** Reads beside a server that may run. Rejects with CliError 2 where there is no data. */
  openData(dataDir: string): Promise<LocalData>
  /** What could not be handled and was not sent back, oldest first: of a fleet where the environment names its Kafka. */
  deadLetters(dataDir: string, query: DeadLetterQuery & { limit: number }): Promise<DeadLetterInfo[]>
  /** Puts those of a fleet on their topics again; resolves with how many. Rejects with CliError 2 without a fleet. */
  redrive(query: DeadLetterQuery & { only?: { partition: number; offset: number } }): Promise<number>
}

export interface DeadLetterQuery {
  topics: readonly Topic[]
  /** Names the prefix of a fleet's topics. */
  configFile?: string
}

export interface DeadLetterInfo {
  topic: Topic
  partition: number
  offset: number
  /** Milliseconds since the epoch. */
  at: number
  /** Approval id; empty where it had none. */
  key: string
  eventId: string
  cause: string
  /** The group that could not handle it. */
  consumer: string
  /** How often it could not be handled. */
  attempts: number
}

export type ServiceName = 'gate' | 'notifier' | 'decider'

export interface ServiceOptions {
  port: number
  host: string
  waitForMs: number
  policyFile?: string
  configFile?: string
}

export interface RunningService {
  url: string
  /** Reads the policy file again; of the gate alone. */
  reloadPolicy?(): void
  close(): Promise<void>
}

export interface UpOptions {
  port: number
  host: string
  dataDir: string
  /** For Kafka and MongoDB, where the environment names them. */
  waitForMs?: number
  /** Over the data directory, whatever the environment names. */
  embedded?: boolean
  policyFile?: string
  configFile?: string
  /** Only failures go to the log. */
  quiet?: boolean
}

export interface RunningServer {
  url: string
  /** True over Kafka and MongoDB. */
  onEngines: boolean
  /** True when this start made the first keys. */
  created: boolean
  agentKey: string | undefined
  /** Signs the owner in to the page, once. */
  loginUrl: string | undefined
  /** Reads the policy file again. */
  reloadPolicy(): void
  /** Stops it; resolves when everything is closed. */
  close(): Promise<void>
}

/** `<data>/owner.json`, mode 0600. */
export interface Owner {
  url: string
  token: string
  agentKey: string
}

export interface NewKey {
  name: string
  role: Role
  tenant: string
  groups: string[]
  email: string | null
}

export interface KeyInfo extends NewKey {
  id: string
  /** Milliseconds since the epoch. */
  createdAt: number
}

/** An entry of the log, or why it cannot be decoded. */
export interface LogLine {
  seq: number
  topic: Topic | `${Topic}.dlq` | (string & {})
  key: string
  eventId: string
  /** Milliseconds since the epoch. */
  at: number
  headers: Record<string, string>
  source: string | null
  data: unknown
  error: string | null
}

export interface LocalData {
  /** Every record, oldest first. */
  records(): AsyncIterable<Approval>
  record(id: string): Promise<Approval | undefined>
  /** The seq of the newest entry of the log, or 0. */
  head(): number
  /** Entries behind `after`, in order. */
  log(query: { after: number; limit: number; topics?: readonly string[] }): LogLine[]
  close(): Promise<void>
}
