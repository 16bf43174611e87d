import { existsSync } from 'node:fs'
import { uuidv7, uuidv7obj } from 'uuidv7'
import { avroCodec } from '../lib/adapters/avro/event-codec.ts'
import { createHttpEvaluators } from '../lib/adapters/http/evaluator.ts'
import { createMcpUpstreams } from '../lib/adapters/mcp/upstream.ts'
import { createApprovalStore } from '../lib/adapters/sqlite/approval-store.ts'
import { type DataDirectory, openDataDirectory } from '../lib/adapters/sqlite/data-directory.ts'
import { openDatabase } from '../lib/adapters/sqlite/database.ts'
import { createDeliveryStore } from '../lib/adapters/sqlite/delivery-store.ts'
import { createGroupCommit } from '../lib/adapters/sqlite/group-commit.ts'
import { createKeyStore } from '../lib/adapters/sqlite/key-store.ts'
import { createLogBus } from '../lib/adapters/sqlite/log-bus.ts'
import { KEYS_SCHEMA, MAIN_SCHEMA } from '../lib/adapters/sqlite/schema.ts'
import { createWebhookStore } from '../lib/adapters/sqlite/webhook-store.ts'
import { approvalIdFrom } from '../lib/core/ids.ts'
import type { ApprovalStore } from '../lib/ports/approval-store.ts'
import type { Bus } from '../lib/ports/bus.ts'
import type { Clock } from '../lib/ports/clock.ts'
import type { DeliveryStore } from '../lib/ports/delivery-store.ts'
import type { KeyStore } from '../lib/ports/key-store.ts'
import type { WebhookStore } from '../lib/ports/webhook-store.ts'
import { callbackKey } from '../lib/runtime/callback-key.ts'
import { systemClock } from '../lib/runtime/clock.ts'
import { readSlackSettings } from '../lib/runtime/config/slack.ts'
import type { Config } from '../lib/runtime/config.ts'
import { Directory } from '../lib/runtime/directory.ts'
import { evaluatorKey } from '../lib/runtime/evaluator-key.ts'
import { type KafkaSettings, readEngines, readGateName, readServiceKey } from '../lib/runtime/fleet-settings.ts'
import type { Lifecycle } from '../lib/runtime/lifecycle.ts'
import type { Logger } from '../lib/runtime/logger.ts'
import { mcpSessionKey } from '../lib/runtime/mcp-session-key.ts'
import { createMetrics } from '../lib/runtime/metrics.ts'
import { PolicyWatch } from '../lib/runtime/policy-watch.ts'
import { serve } from '../lib/runtime/serve.ts'
import { readPolicy, startService } from '../lib/runtime/service.ts'
import { createDecider } from './decider/app.ts'
import { openBus, openStores } from './engines.ts'
import { createGate } from './gate/app.ts'
import { openNotifier } from './notifier/opening.ts'
import { ensureOwner, readOwner, writeOwner } from './owner.ts'

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
  /** How long to wait for Kafka and MongoDB where they cannot be reached at the start, in milliseconds; default 0. */
  waitForMs?: number
  /** True keeps everything in `dataDir`, also where the environment names Kafka and MongoDB. */
  embedded?: boolean
  log?: Logger
}

export interface Up {
  url: string
  /** True over Kafka and MongoDB, false over `dataDir` alone. */
  onEngines: boolean
  /** True when this start made the first keys. */
  created: boolean
  /** The credentials of the data directory's owner; undefined when they were taken away. */
  agentKey: string | undefined
  token: string | undefined
  /** Signs the owner in to the page, once, within ten minutes. */
  loginUrl: string | undefined
  /** Reads the policy file now; one that is refused or gone changes nothing, and the log says why. */
  reloadPolicy(): void
  /** Answers everybody who waits, stops, and resolves when everything is on disk and closed. */
  close(): Promise<void>
}

/**
 * Gate, decider and notifier in one process on one port: over Kafka and MongoDB where KAFKA_BROKERS and MONGODB_URL name
 * them, else over a durable log and store in `dataDir`.
 * Rejects with ConfigError when the configuration or the policy is wrong, OwnerFileError when `owner.json` is damaged,
 * StorageError when the directory cannot be used, CountersignError when an engine cannot be reached, and the system's
 * error when the port cannot be had.
 */
export async function startUp(options: UpOptions = {}): Promise<Up> {
  const { port = 4100, host = '127.0.0.1', dataDir = '.countersign', waitForMs = 0 } = options
  return startService(
    options,
    (env, problems, config) => {
      const engines = options.embedded ? undefined : readEngines(env, problems)
      return {
        engines,
        // As any decider of the fleet it serves gates and notifiers in other processes, where they share a key.
        serviceKey: engines && env.COUNTERSIGN_SERVICE_KEY ? readServiceKey(env, problems) : undefined,
        gateName: engines ? readGateName(env, port) : 'up',
        slack: readSlackSettings(config?.slack, env, problems),
        loaded: readPolicy(options),
      }
    },
    async ({ engines, serviceKey, gateName, slack: slackSettings, loaded }, { config, log, lifecycle }) => {
      const clock = systemClock
      const directory = openDataDirectory(dataDir)
      lifecycle.onClose('data directory', () => directory.close())
      const knownOwner = readOwner(directory.path)
      const parts = { config, log, lifecycle }
      const { store, bus, keys, keysAreNew, prune, outgoing } = engines
        ? await openEngines(engines, waitForMs, parts)
        : openEmbedded(directory, parts)
      const identity = new Directory(config, keys, clock, serviceKey)
      const metrics = createMetrics()
      const policy = new PolicyWatch({ loaded, log, metrics, clock })
      lifecycle.onClose('policy', () => policy.close())

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
      const evaluators = createHttpEvaluators({ clock, newId: uuidv7, keyOf: evaluatorKey })
      lifecycle.onClose('evaluators', () => evaluators.close())
      const mcp = createMcpUpstreams(config.mcp, { clock, log, newId: uuidv7 })
      lifecycle.onClose('mcp servers', async () => {
        await Promise.all(mcp.map(({ upstream }) => upstream.close()))
      })
      const gate = createGate({
        bus,
        decider,
        clock,
        log,
        metrics,
        policy: () => policy.current,
        evaluatorOf: (settings) => evaluators.of(settings),
        newApprovalId: () => approvalIdFrom(uuidv7obj().bytes),
        name: gateName,
        config: config.gate,
        mcp: { servers: mcp, sessionKey: mcpSessionKey(serviceKey) },
        upstreams: config.upstreams,
        callbackHosts: config.callbacks?.hosts ?? [],
      })
      const notifier = openNotifier({
        ...{ bus, decider, identity, clock, log, metrics, config, lifecycle, slackSettings, outgoing },
        callbackKey: callbackKey(directory.path, serviceKey),
      })

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
      notifier.listening(url)
      if (prune) lifecycle.onClose('event retention', everyHour(clock, prune))

      const { owner, created } = await ensureOwner(knownOwner, { keys, isNew: keysAreNew }, clock)
      if (owner) writeOwner(directory.path, { ...owner, url })
      const admin = owner && (await identity.ofSecret(owner.token))
      return {
        url,
        onEngines: engines !== undefined,
        created,
        agentKey: owner?.agentKey,
        token: owner?.token,
        loginUrl: admin && `${url}/login#code=${await identity.issueLoginCode(admin.id)}`,
        reloadPolicy: () => policy.reload(),
      }
    },
  )
}

interface Parts {
  config: Config
  log: Logger
  lifecycle: Lifecycle
}

/** What the services stand on. */
interface Foundation {
  bus: Bus
  store: ApprovalStore
  keys: KeyStore
  outgoing: { store: DeliveryStore; webhooks: WebhookStore }
  /** Nobody had a key in this key store before. */
  keysAreNew: boolean
  /** Deletes old events, where nobody else does. */
  prune?: () => Promise<void>
}

async function openEngines(
  { kafka, mongoUrl }: { kafka: KafkaSettings; mongoUrl: string },
  waitForMs: number,
  { config, log, lifecycle }: Parts,
): Promise<Foundation> {
  const { store, keys, outgoing } = await openStores(mongoUrl, waitForMs, log, lifecycle)
  const bus = await openBus('up', kafka, config, waitForMs, log)
  lifecycle.onClose('bus', () => bus.close())
  return { bus, store, keys, keysAreNew: (await keys.list()).length === 0, outgoing }
}

function openEmbedded(directory: DataDirectory, { config, log, lifecycle }: Parts): Foundation {
  const clock = systemClock
  const keysAreNew = !existsSync(directory.keys)
  const db = openDatabase(directory.database, MAIN_SCHEMA)
  lifecycle.onClose('database', () => db.close())
  const keysDb = openDatabase(directory.keys, KEYS_SCHEMA)
  lifecycle.onClose('keys', () => keysDb.close())
  const groupCommit = createGroupCommit(db)
  const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock, logger: log, source: 'countersign/up' })
  lifecycle.onClose('bus', () => bus.close())
  const store = createApprovalStore({ db, groupCommit, log })
  lifecycle.onClose('store', () => store.close())
  const keys = createKeyStore({ db: keysDb, clock })
  const deliveries = createDeliveryStore({ db, groupCommit })
  lifecycle.onClose('deliveries', () => deliveries.close())
  const webhooks = createWebhookStore({ db, groupCommit })
  lifecycle.onClose('webhooks', () => webhooks.close())
  const prune = async () => {
    await bus.prune(clock.now() - config.retention.eventsMs).catch((error: unknown) => {
      log.warn({ err: error }, 'old events were not deleted')
    })
  }
  return { bus, store, keys, keysAreNew, prune, outgoing: { store: deliveries, webhooks } }
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
