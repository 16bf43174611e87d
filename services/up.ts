import { uuidv7obj } from 'uuidv7'
import { avroCodec } from '../lib/adapters/avro/event-codec.ts'
import { createApprovalStore } from '../lib/adapters/sqlite/approval-store.ts'
import { openDataDirectory } from '../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../lib/adapters/sqlite/database.ts'
import { createGroupCommit } from '../lib/adapters/sqlite/group-commit.ts'
import { createKeyStore } from '../lib/adapters/sqlite/key-store.ts'
import { createLogBus } from '../lib/adapters/sqlite/log-bus.ts'
import { KEYS_SCHEMA, MAIN_SCHEMA } from '../lib/adapters/sqlite/schema.ts'
import { approvalIdFrom } from '../lib/core/ids.ts'
import type { Clock } from '../lib/ports/clock.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import { ConfigError, loadConfig } from '../lib/runtime/config.ts'
import { Directory } from '../lib/runtime/directory.ts'
import { Lifecycle } from '../lib/runtime/lifecycle.ts'
import { createLogger, type Logger } from '../lib/runtime/logger.ts'
import { createMetrics } from '../lib/runtime/metrics.ts'
import { loadPolicy } from '../lib/runtime/policy-file.ts'
import { serve } from '../lib/runtime/serve.ts'
import { collectProblems } from '../lib/runtime/service.ts'
import { createDecider } from './decider/app.ts'
import { createGate } from './gate/app.ts'
import { createNotifier } from './notifier/app.ts'
import { ensureOwner, writeOwner } from './owner.ts'
import { pageDirectory } from './page-directory.ts'

export interface UpOptions {
  /** 0 takes any free port. Default 4100. */
  port?: number
  /** Default 127.0.0.1. */
  host?: string
  /** Default `.countersign`. */
  dataDir?: string
  /** Default `policy.yaml` where it exists, else the starter policy. A file that is named must exist. */
  policyFile?: string
  /** Default `countersign.yaml` where it exists. A file that is named must exist. */
  configFile?: string
  log?: Logger
}

export interface Up {
  url: string
  /** True when this start made the first keys. */
  created: boolean
  /** The credentials of the data directory's owner; undefined when they were taken away. */
  agentKey: string | undefined
  token: string | undefined
  /** Signs the owner in to the page, once, within ten minutes. */
  loginUrl: string | undefined
  /** Answers everybody who waits, stops, and resolves when everything is on disk and closed. */
  close(): Promise<void>
}

/**
 * Gate, decider and notifier in one process on one port, over a durable log and store in `dataDir`.
 * Rejects with ConfigError when the configuration or the policy is wrong, StorageError when the directory cannot be
 * used, and the system's error when the port cannot be had.
 */
export async function startUp(options: UpOptions = {}): Promise<Up> {
  const { port = 4100, host = '127.0.0.1', dataDir = '.countersign' } = options
  const problems: string[] = []
  const config = collectProblems(problems, () =>
    loadConfig({ file: options.configFile ?? 'countersign.yaml', required: options.configFile !== undefined }),
  )
  const policy = collectProblems(problems, () =>
    loadPolicy({ file: options.policyFile ?? 'policy.yaml', required: options.policyFile !== undefined }),
  )
  if (!config || !policy) throw new ConfigError(problems)

  const clock = systemClock
  const log = options.log ?? createLogger(config.logLevel)
  const lifecycle = new Lifecycle(log)
  try {
    const directory = openDataDirectory(dataDir)
    lifecycle.onClose('data directory', () => directory.close())
    const db = openDatabase(directory.database, MAIN_SCHEMA)
    lifecycle.onClose('database', () => db.close())
    const keysDb = openDatabase(directory.keys, KEYS_SCHEMA)
    lifecycle.onClose('keys', () => keysDb.close())

    const groupCommit = createGroupCommit(db)
    const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock, logger: log, source: 'countersign/up' })
    lifecycle.onClose('bus', () => bus.close())
    const store = createApprovalStore({ db, groupCommit })
    lifecycle.onClose('store', () => store.close())
    const keys = createKeyStore({ db: keysDb, clock })
    const identity = new Directory(config, keys, clock)
    const metrics = createMetrics()

    const deciderService = createDecider({
      store,
      bus,
      clock,
      log,
      metrics,
      directory: identity,
      decideTopic: config.topics.decide,
      retentionMs: config.retention.approvalsMs,
    })
    const { decider } = deciderService
    const gate = createGate({
      bus,
      decider,
      clock,
      log,
      metrics,
      policy: () => policy,
      newApprovalId: () => approvalIdFrom(uuidv7obj().bytes),
      name: 'up',
      config: config.gate,
    })
    const notifier = createNotifier({ bus, decider, identity, clock, log, metrics, pageDirectory: pageDirectory() })

    // Closing goes backwards: first everybody who waits is answered, then the port closes, then what they stood on.
    lifecycle.onClose('decider', () => deciderService.close())
    await deciderService.start()
    lifecycle.onClose('notifier', () => notifier.close())
    await notifier.start()
    lifecycle.onClose('gate', () => gate.close())
    await gate.start()
    const url = await serve(
      {
        host,
        port,
        identity,
        log,
        metrics,
        routes: [gate.routes, deciderService.routes, notifier.routes],
        checks: [
          { name: 'decider', isReady: () => deciderService.isReady() },
          { name: 'gate', isReady: () => gate.isReady() },
          { name: 'notifier', isReady: () => notifier.isReady() },
        ],
        async drain() {
          deciderService.drain()
          notifier.drain()
          await gate.drain()
        },
      },
      lifecycle,
    )
    lifecycle.onClose(
      'event retention',
      everyHour(clock, async () => {
        await bus.prune(clock.now() - config.retention.eventsMs).catch((error: unknown) => {
          log.warn({ err: error }, 'old events were not deleted')
        })
      }),
    )

    const { owner, created } = await ensureOwner(directory.path, keys, clock)
    if (owner) writeOwner(directory.path, { ...owner, url })
    const admin = owner && (await identity.ofSecret(owner.token))
    return {
      url,
      created,
      agentKey: owner?.agentKey,
      token: owner?.token,
      loginUrl: admin && `${url}/login#code=${await identity.issueLoginCode(admin.id)}`,
      close: () => lifecycle.close(),
    }
  } catch (error) {
    await lifecycle.close()
    throw error
  }
}

/** Does the work every hour, the first time a minute from now; returns what ends it. */
function everyHour(clock: Clock, work: () => Promise<void>): () => void {
  let cancel = clock.after(60_000, run)
  function run(): void {
    void work()
    cancel = clock.after(3_600_000, run)
  }
  return () => cancel()
}
