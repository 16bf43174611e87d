import { type Db, MongoClient, MongoNetworkError, MongoServerSelectionError } from 'mongodb'
import { CountersignError } from '../../core/errors.ts'
import { DEADLINE_MS } from './availability.ts'
import { createIndexes } from './collections.ts'

/** Where the connection says that MongoDB went and came back; a pino logger fits. */
export interface MongoLogger {
  warn(message: string): void
  info(message: string): void
}

export interface MongoConnection {
  db: Db
  close(): Promise<void>
}

/** MongoDB cannot be used as it is set up. The message says why, and is meant for the person who started us. */
export class MongoSetupError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MongoSetupError'
  }
}

const DEFAULT_DATABASE = 'countersign'
/** MongoDB 6.0: partial indexes over several states. */
const OLDEST_WIRE_VERSION = 17
/** How often servers are looked after, so that one that went silent is left for another. */
const HEARTBEAT_MS = 2_000

/**
 * Connects to a replica set or a sharded cluster, and creates the indexes that are missing. The database is the one
 * that the connection string names, else `countersign`.
 * Rejects with `decider_unavailable` when MongoDB cannot be reached, and with MongoSetupError when trying again is no use.
 */
export async function connectMongo({ url, logger }: { url: string; logger?: MongoLogger }): Promise<MongoConnection> {
  const client = clientFor(url)
  try {
    const db = client.db(databaseOf(url))
    await refuseUnfit(db)
    await createIndexes(db)
    if (logger) tellOutages(client, logger)
    return {
      db,
      close: () => {
        client.removeAllListeners()
        return client.close()
      },
    }
  } catch (error) {
    await client.close()
    if (error instanceof MongoSetupError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError)
      throw new CountersignError('decider_unavailable', `MongoDB cannot be reached: ${reason}`, { cause: error })
    throw new MongoSetupError(`MongoDB cannot be used: ${reason}`, { cause: error })
  }
}

function clientFor(url: string): MongoClient {
  try {
    return new MongoClient(url, {
      appName: 'countersign',
      serverSelectionTimeoutMS: DEADLINE_MS,
      connectTimeoutMS: DEADLINE_MS,
      waitQueueTimeoutMS: DEADLINE_MS,
      heartbeatFrequencyMS: HEARTBEAT_MS,
      readPreference: 'primary',
      // A write that was done and whose answer was lost is not done again: the server knows its number.
      retryWrites: true,
      retryReads: true,
      ignoreUndefined: true,
    })
  } catch {
    // The driver's message may quote the connection string, which holds a password.
    throw new MongoSetupError('MONGODB_URL is not a connection string that MongoDB’s driver takes.')
  }
}

const databaseOf = (url: string): string =>
  decodeURIComponent(/^[^/]+:\/\/[^/]+\/([^?]+)/.exec(url)?.[1] ?? DEFAULT_DATABASE)

async function refuseUnfit(db: Db): Promise<void> {
  const { setName, msg, maxWireVersion } = await db.admin().command({ hello: 1 })
  if (!setName && msg !== 'isdbgrid')
    throw new MongoSetupError('MongoDB must be a replica set (one node will do) or a sharded cluster.')
  if (maxWireVersion < OLDEST_WIRE_VERSION) throw new MongoSetupError('MongoDB must be 6.0 or newer.')
}

function tellOutages(client: MongoClient, logger: MongoLogger): void {
  let isAway = false
  client.on('topologyDescriptionChanged', ({ newDescription }) => {
    const wasAway = isAway
    isAway = ![...newDescription.servers.values()].some(({ isWritable }) => isWritable)
    if (isAway && !wasAway) logger.warn('MongoDB has no primary that can be reached')
    if (wasAway && !isAway) logger.info('MongoDB can be written again')
  })
}
