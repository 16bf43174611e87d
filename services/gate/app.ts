import type { FastifyPluginAsync } from 'fastify'
import { Topic } from '../../lib/core/events.ts'
import type { CompiledPolicy } from '../../lib/core/policy/compile.ts'
import type { Bus, Subscription } from '../../lib/ports/bus.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Decider } from '../../lib/ports/decider.ts'
import type { EvaluatorOf } from '../../lib/ports/evaluator.ts'
import { callbackFault } from '../../lib/runtime/config/callbacks.ts'
import type { Upstream } from '../../lib/runtime/config/upstreams.ts'
import type { Config } from '../../lib/runtime/config.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'
import { actionRoutes } from './actions/routes.ts'
import { Approvals } from './approvals.ts'
import { Asking } from './asking.ts'
import { Evaluations } from './evaluation.ts'
import { hookRoutes } from './hooks/routes.ts'
import { Judge } from './judge.ts'
import { Limits } from './limits.ts'
import { createRelays, type McpServers } from './mcp/relays.ts'
import { mcpRoutes } from './mcp/routes.ts'
import { Forwarder } from './proxy/forwarder.ts'
import { proxyRoutes } from './proxy/routes.ts'
import { Sending } from './proxy/sending.ts'
import { openNameless, Spools } from './proxy/spool.ts'
import { Tunnels } from './proxy/tunnel.ts'

export interface GateService {
  routes: FastifyPluginAsync
  /** Resolves when decisions reach this gate: no request may be taken before. */
  start(): Promise<void>
  /** Answers held calls with 503 `shutting_down`; their approvals stay pending. */
  drain(): Promise<void>
  close(): Promise<void>
  isReady(): boolean
}

/** The gate: where agents ask, and where nothing passes without a rule or a person that lets it. */
export function createGate(deps: {
  bus: Bus
  decider: Decider
  clock: Clock
  log: Logger
  metrics: Metrics
  policy: () => CompiledPolicy
  evaluatorOf: EvaluatorOf
  newApprovalId: () => string
  /** The gate's name; holds of a former life under the same name are known to be dead. */
  name: string
  config: Config['gate']
  mcp: McpServers
  upstreams: readonly Upstream[]
  /** Hosts (globs) that agents may name to be told of decisions; left out: none. */
  callbackHosts?: readonly string[]
}): GateService {
  const { bus, decider, clock, log, metrics, policy, evaluatorOf, newApprovalId, name, config, upstreams } = deps
  const limits = new Limits({ clock, metrics, share: config.rateLimitShare })
  const approvals = new Approvals({
    bus,
    decider,
    clock,
    log,
    metrics,
    newApprovalId,
    gate: name,
    limits: config,
    rateLimits: limits,
  })
  const evaluations = new Evaluations({ evaluatorOf, log, metrics })
  const judge = new Judge({ policy, log, metrics })
  const asking = new Asking({ approvals, judge, limits, evaluations })
  const forwarder = new Forwarder(upstreams)
  const tunnels = new Tunnels()
  const { maxSpoolBytes: maxBytes, spoolDir } = config
  const spools = new Spools({ open: () => openNameless(spoolDir), maxBytes, log, metrics })
  const sending = new Sending({ approvals, forwarder, tunnels, gate: name, log, metrics })
  const mcp = createRelays({ mcp: deps.mcp, asking, approvals, judge, clock, log, gate: name, config })
  let subscription: Subscription | undefined

  return {
    routes: async (app) => {
      await app.register(actionRoutes, {
        ...{ asking, approvals, decider, gate: name, config },
        callbackFault: callbackFault(deps.callbackHosts ?? []),
      })
      await app.register(hookRoutes, { asking, approvals, gate: name, config })
      await app.register(mcpRoutes, { ...mcp, config })
      await app.register(proxyRoutes, { asking, sending, spools, upstreams, clock })
    },
    async start() {
      subscription = await bus.broadcast({
        topics: [Topic.decided],
        handler: (batch) => {
          for (const delivery of batch) if (delivery.topic === Topic.decided) approvals.decided(delivery.data)
        },
        onGap: () => approvals.holds.look(),
      })
    },
    async drain() {
      await approvals.stop()
      mcp.stop()
      tunnels.close()
    },
    async close() {
      await mcp.close()
      await forwarder.close()
      await approvals.stop()
      await subscription?.close()
    },
    isReady: () => subscription !== undefined && bus.isReady(),
  }
}
