import type { FastifyPluginAsync } from 'fastify'
import { type Approval, isForwarded, Status } from '../../lib/core/approval.ts'
import { CountersignError } from '../../lib/core/errors.ts'
import { redactText } from '../../lib/core/preview.ts'
import type { ApprovalStore } from '../../lib/ports/approval-store.ts'
import type { Bus, Subscription } from '../../lib/ports/bus.ts'
import type { Clock } from '../../lib/ports/clock.ts'
import type { Decider } from '../../lib/ports/decider.ts'
import type { Directory } from '../../lib/runtime/directory.ts'
import type { Logger } from '../../lib/runtime/logger.ts'
import type { Metrics } from '../../lib/runtime/metrics.ts'
import { Claims } from './claims.ts'
import { consumeCommands } from './commands.ts'
import { Pending } from './pending.ts'
import { notFound, Records } from './records.ts'
import { Relay } from './relay.ts'
import { consumeRequests } from './requests.ts'
import { approvalRoutes } from './routes/approvals.ts'
import { internalRoutes } from './routes/internal.ts'
import { sessionRoutes } from './routes/session.ts'
import { Sweeper } from './sweeper.ts'

export interface DeciderService {
  /** What gates and notifiers ask. */
  decider: Decider
  routes: FastifyPluginAsync
  /** Begins to consume, relay and sweep. */
  start(): Promise<void>
  /** Answers those who wait; the rest of the process may still be closing. */
  drain(): void
  close(): Promise<void>
  isReady(): Promise<boolean>
}

/** The decider: keeps the record, takes decisions, tells the bus. */
export function createDecider(deps: {
  store: ApprovalStore
  bus: Bus
  clock: Clock
  log: Logger
  metrics: Metrics
  directory: Directory
  decideTopic: 'refused' | 'allowed'
  /** How long ended records are kept, in milliseconds. */
  retentionMs: number
}): DeciderService {
  const { store, bus, clock, log, metrics, directory } = deps
  const relay = new Relay({ store, bus, clock, log })
  const pending = new Pending({ store, clock })
  const records = new Records({
    store,
    clock,
    onWrite(approval, isStep) {
      relay.push(approval)
      sweeper.expect(approval)
      if (!isStep) return
      if (approval.status === Status.pending) pending.wake()
      observe(approval, metrics, log)
    },
    isSent: (eventId) => relay.isSent(eventId),
  })
  const sweeper = new Sweeper({ store, records, clock, log, retentionMs: deps.retentionMs })
  const claims = new Claims({ records, store, clock })

  const decider: Decider = {
    claim: (request) => claims.claim(request),
    lookup: (tenant, id) => records.find(tenant, id),
    settle: async ({ tenant, id, agentId, use, outcome, status, detail, gate, reporter }) => {
      const approval = await ownedBy(agentId, tenant, id)
      if (reporter === 'agent' && isForwarded(approval.action))
        throw new CountersignError('invalid_request', 'The gate forwards this call itself, and reports its outcome.')
      const by = { id: gate, name: gate, type: 'system', via: 'http' } as const
      return records.commandOn(approval, { type: 'settle', use, outcome, status, detail, gate, by })
    },
    leave: async ({ tenant, id, holder, intent }) => {
      await records.apply(await records.find(tenant, id), { type: 'leave', holder, intent })
    },
    withdraw: async ({ tenant, id, agentId, agentName }) => {
      const approval = await ownedBy(agentId, tenant, id)
      const by = { id: agentId, name: agentName, type: 'agent', via: 'http' } as const
      return records.commandOn(approval, { type: 'cancel', by, reason: 'The agent withdrew the request.' })
    },
    decide: ({ tenant, id, decision, by, reason, edits }) =>
      records.command(tenant, id, { type: 'decide', decision, by, reason, edits }),
    list: (query) => store.list(query),
  }

  /** Another agent's record is as good as none. */
  async function ownedBy(agentId: string, tenant: string, id: string): Promise<Approval> {
    const approval = await records.take(tenant, id)
    if (approval.agent.id !== agentId) throw notFound()
    return approval
  }

  let subscriptions: Subscription[] = []
  return {
    decider,
    routes: async (app) => {
      await app.register(approvalRoutes, { decider, pending, sweeper })
      await app.register(internalRoutes, { decider, directory })
      await app.register(sessionRoutes, { directory })
    },
    async start() {
      subscriptions = await Promise.all([
        consumeRequests({ bus, records, log }),
        consumeCommands({ bus, records, log, metrics, decideTopic: deps.decideTopic }),
      ])
      relay.start()
      sweeper.start()
    },
    drain: () => pending.close(),
    async close() {
      pending.close()
      await Promise.all(subscriptions.map((each) => each.close()))
      await sweeper.close()
      await relay.close()
    },
    async isReady() {
      await store.ping()
      return subscriptions.length > 0 && bus.isReady()
    },
  }
}

const ENDED = new Set<Status>([Status.denied, Status.expired, Status.cancelled, Status.settled])

/** Counts the step; one wide line when a record has come to its end. */
function observe(approval: Approval, metrics: Metrics, log: Logger): void {
  const step = approval.history.at(-1)?.type ?? 'requested'
  metrics.outcomes.inc({ step })
  const { decidedAt, requestedAt, claim, settlement, updatedAt } = approval
  if ((step === 'approved' || step === 'denied') && decidedAt !== null)
    metrics.decisionSeconds.observe((decidedAt - requestedAt) / 1000)
  if (!ENDED.has(approval.status)) return
  log.info(
    {
      approvalId: approval.id,
      tenant: approval.tenant,
      status: approval.status,
      agent: approval.agent.name,
      session: approval.agent.session,
      tool: approval.action.tool,
      summary: approval.action.summary,
      rule: approval.rule.id,
      risk: approval.risk,
      decidedBy: approval.decidedBy.map(({ name, via }) => `${name} via ${via}`),
      reason: approval.reason === null ? null : redactText(approval.reason),
      edited: approval.edits !== null,
      outcome: settlement?.outcome ?? null,
      decisionMs: decidedAt === null ? null : decidedAt - requestedAt,
      claimMs: claim === null || decidedAt === null ? null : claim.at - decidedAt,
      totalMs: updatedAt - requestedAt,
    },
    'approval ended',
  )
}
