#!/usr/bin/env node
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { arrayBuffer } from 'node:stream/consumers'
import pc from 'picocolors'
import type { Topic } from '../../lib/core/events.ts'
import type { Deps } from './deps.ts'
import { CliError, usageError } from './failure.ts'
import type { DeadLetterInfo, DeadLetterQuery, Local, LocalData, LogLine } from './local.ts'
import { run } from './program.ts'
import { createTerminal } from './terminal.ts'

// Everything heavy (services, storage, codecs) is loaded by the command that needs it: the others start at once.

/** The keys of a fleet where the environment names its MongoDB, else those of a data directory. */
async function openKeys(dataDir: string) {
  const { MONGODB_URL: url } = process.env
  if (url) {
    const { connectMongo } = await import('../../lib/adapters/mongo/connection.ts')
    const { createMongoKeyStore } = await import('../../lib/adapters/mongo/key-store.ts')
    const { systemClock } = await import('../../lib/runtime/clock.ts')
    const mongo = await connectMongo({ url })
    return { store: createMongoKeyStore({ db: mongo.db, clock: systemClock }), close: () => mongo.close() }
  }
  const { prepareDataDirectory } = await import('../../lib/adapters/sqlite/data-directory.ts')
  const { openDatabase } = await import('../../lib/adapters/sqlite/database.ts')
  const { createKeyStore } = await import('../../lib/adapters/sqlite/key-store.ts')
  const { KEYS_SCHEMA } = await import('../../lib/adapters/sqlite/schema.ts')
  const { systemClock } = await import('../../lib/runtime/clock.ts')
  const db = openDatabase(prepareDataDirectory(dataDir).keys, KEYS_SCHEMA)
  return { store: createKeyStore({ db, clock: systemClock }), close: async () => db.close() }
}

/** A directory to read keys from must be there already; only `keys create` makes one. */
function existing(dataDir: string): string {
  if (!process.env.MONGODB_URL && !existsSync(join(dataDir, 'keys.db')))
    throw usageError(`There are no keys in ${dataDir}: is --data right?`)
  return dataDir
}

/** Runs with the keys of a directory, and leaves it closed. */
const withKeys = <R>(dataDir: string, use: (store: Awaited<ReturnType<typeof openKeys>>['store']) => Promise<R>) =>
  explained(async () => {
    const keys = await openKeys(dataDir)
    try {
      return await use(keys.store)
    } finally {
      await keys.close()
    }
  })

async function openData(dataDir: string): Promise<LocalData> {
  const { prepareDataDirectory } = await import('../../lib/adapters/sqlite/data-directory.ts')
  const { openDatabase } = await import('../../lib/adapters/sqlite/database.ts')
  const { createApprovalStore } = await import('../../lib/adapters/sqlite/approval-store.ts')
  const { createGroupCommit } = await import('../../lib/adapters/sqlite/group-commit.ts')
  const { headOfLog, readLog } = await import('../../lib/adapters/sqlite/read-log.ts')
  const { MAIN_SCHEMA } = await import('../../lib/adapters/sqlite/schema.ts')
  const { avroCodec } = await import('../../lib/adapters/avro/event-codec.ts')
  if (!existsSync(join(dataDir, 'countersign.db')))
    throw usageError(`There are no records in ${dataDir}: give the data directory of a server with --data.`)
  const db = openDatabase(prepareDataDirectory(dataDir).database, MAIN_SCHEMA, { readOnly: true })
  const store = createApprovalStore({ db, groupCommit: createGroupCommit(db) })
  const codec = avroCodec()
  return {
    records: () => store.scan(),
    record: (id) => store.get(id),
    head: () => headOfLog(db),
    log: (query) =>
      readLog({ db, codec }, query).map(
        ({ seq, topic, key, eventId, at, headers, event, error }): LogLine => ({
          seq,
          topic,
          key,
          eventId,
          at,
          headers,
          source: event?.source ?? null,
          data: event?.data ?? null,
          error,
        }),
      ),
    close: async () => db.close(),
  }
}

/** What the data directory's log set aside. There a letter lies where the log has it, and is never sent back. */
async function lettersOf(dataDir: string, { topics, limit }: { topics: readonly Topic[]; limit: number }) {
  const data = await openData(dataDir)
  try {
    const found = data.log({ after: 0, limit, topics: topics.map((topic) => `${topic}.dlq`) })
    return found.flatMap(({ seq, at, key, eventId, headers, ...line }): DeadLetterInfo[] => {
      const { dlq_cause: cause = '', dlq_consumer: consumer = '' } = headers
      const letter = { partition: 0, offset: seq, at, key, eventId, cause, consumer, attempts: 1 }
      return topics.filter((topic) => line.topic === `${topic}.dlq`).map((topic) => ({ topic, ...letter }))
    })
  } finally {
    await data.close()
  }
}

/** The dead letters of the fleet whose Kafka the environment names; undefined where it names none. */
async function fleetLetters({ configFile }: Pick<DeadLetterQuery, 'configFile'>) {
  if (!process.env.KAFKA_BROKERS) return undefined
  const { ConfigError } = await import('../../lib/runtime/config.ts')
  const { readKafka } = await import('../../lib/runtime/fleet-settings.ts')
  const { collectProblems, readConfig } = await import('../../lib/runtime/service.ts')
  const { openDeadLetters } = await import('../../services/engines.ts')
  const problems: string[] = []
  const kafka = readKafka(process.env, problems)
  const config = collectProblems(problems, () => readConfig(configFile === undefined ? {} : { configFile }))
  if (!config || problems.length > 0) throw new ConfigError(problems)
  return openDeadLetters(kafka, config)
}

const EXITS: Record<string, 1 | 2 | 3> = {
  ConfigError: 2,
  OwnerFileError: 2,
  RedriveInProgressError: 1,
  MongoSetupError: 2,
  MissingTopicsError: 2,
  RegistryError: 2,
  StorageError: 3,
  CountersignError: 3,
}
const SYSTEM: Record<string, string> = {
  EADDRINUSE: 'The port is in use: stop what uses it, or choose another with --port.',
  EACCES: 'The system does not allow that port or address: choose a port above 1023.',
  EADDRNOTAVAIL: 'This machine does not have that address: choose another with --host.',
  ENOTFOUND: 'That address is unknown: choose another with --host.',
}

/** Turns what services and storage reject with into words and an exit code. */
async function explained<R>(call: () => Promise<R>): Promise<R> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof Error) || error instanceof CliError) throw error
    const system = 'code' in error && typeof error.code === 'string' ? SYSTEM[error.code] : undefined
    if (system !== undefined) throw new CliError(`${error.message}\n${system}`, 3, { cause: error })
    const exit = EXITS[error.name]
    if (exit !== undefined) throw new CliError(error.message, exit, { cause: error })
    throw error
  }
}

const local: Local = {
  up: ({ quiet, ...options }) =>
    explained(async () => {
      const { startUp } = await import('../../services/up.ts')
      const { createLogger } = await import('../../lib/runtime/logger.ts')
      return startUp({ ...options, ...(quiet ? { log: createLogger('error') } : {}) })
    }),
  service: (name, options) =>
    explained(async () => {
      switch (name) {
        case 'gate':
          return (await import('../../services/gate/main.ts')).startGate(options)
        case 'notifier':
          return (await import('../../services/notifier/main.ts')).startNotifier(options)
        case 'decider':
          return (await import('../../services/decider/main.ts')).startDecider(options)
      }
    }),
  owner: (dataDir) => explained(async () => (await import('../../services/owner.ts')).readOwner(dataDir)),
  loginLink: (dataDir) =>
    withKeys(dataDir, async (store) => {
      const { readOwner } = await import('../../services/owner.ts')
      const { Directory } = await import('../../lib/runtime/directory.ts')
      const { hashSecret } = await import('../../lib/runtime/keys.ts')
      const { systemClock } = await import('../../lib/runtime/clock.ts')
      const owner = readOwner(dataDir)
      if (!owner) throw usageError(`No server is known in ${dataDir}. Start one here: countersign up`)
      const key = await store.findByHash(hashSecret(owner.token))
      if (!key) throw usageError("The owner's token was revoked: sign in to the page with a token of your own.")
      const code = await new Directory({ agents: [], approvers: [] }, store, systemClock).issueLoginCode(key.id)
      return `${owner.url}/login#code=${code}`
    }),
  createKey: (dataDir, request) =>
    withKeys(dataDir, async (store) => {
      const { hashSecret, newKeyId, newSecret } = await import('../../lib/runtime/keys.ts')
      const id = newKeyId()
      const secret = newSecret(request.role)
      await store.insert({ ...request, id, hash: hashSecret(secret), createdAt: Date.now() })
      return { id, secret }
    }),
  listKeys: async (dataDir) =>
    withKeys(existing(dataDir), async (store) => (await store.list()).map(({ hash: _, ...key }) => key)),
  revokeKey: async (dataDir, id) => withKeys(existing(dataDir), (store) => store.revoke(id)),
  openData: (dataDir) => explained(() => openData(dataDir)),
  deadLetters: (dataDir, query) =>
    explained(async () => (await fleetLetters(query))?.list(query) ?? lettersOf(dataDir, query)),
  redrive: (query) =>
    explained(async () => {
      const letters = await fleetLetters(query)
      if (!letters)
        throw usageError(
          'KAFKA_BROKERS is not set. Only dead letters of a fleet can be sent back; those of a data directory can be listed.',
        )
      return letters.redrive(query)
    }),
}

/** The version in package.json, found from the source tree and from dist/ alike. */
function version(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    const url = new URL(path, import.meta.url)
    if (existsSync(url)) return String(JSON.parse(readFileSync(url, 'utf8')).version)
  }
  return '0.0.0'
}

const EXIT_AFTER_MS = 1_000

let stopping: AbortController | undefined
function interrupted(): AbortSignal {
  if (stopping) return stopping.signal
  const controller = new AbortController()
  stopping = controller
  // Once: a second signal ends the process as it always does.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())
  return controller.signal
}

/** SIGHUP asks to read the policy again, unless it says that the terminal of this process was closed: that ends it. */
function onHangup(callback: () => void): void {
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  process.on('SIGHUP', () => {
    if (!hasTerminal || isTerminalThere()) return callback()
    // Nothing can be written any more; without a listener the signal does what it does by itself.
    process.removeAllListeners('SIGHUP')
    process.kill(process.pid, 'SIGHUP')
  })
}

function isTerminalThere(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

// Who reads us may have seen enough (`| head`): then there is nobody to write to, and nothing went wrong.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })

// picocolors also colours for CI logs; a pipe must get plain text unless it was asked for.
const colored = pc.isColorSupported && (process.stdout.isTTY || Boolean(process.env.FORCE_COLOR))
const deps: Deps = {
  local,
  terminal: createTerminal(process, colored),
  env: process.env,
  version: version(),
  self: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
  input: async () => new Uint8Array(await arrayBuffer(process.stdin)),
  now: Date.now,
  interrupted,
  onHangup,
}
process.exitCode = await run(process.argv.slice(2), deps)
// Timers of a client whose server is away may go on for a minute; everything of ours is closed by now.
setTimeout(() => process.exit(), EXIT_AFTER_MS).unref()
