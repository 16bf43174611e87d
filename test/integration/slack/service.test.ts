import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { avroCodec } from '../../../lib/adapters/avro/event-codec.ts'
import { openSlackWorkspace } from '../../../lib/adapters/slack/workspace.ts'
import { createApprovalStore } from '../../../lib/adapters/sqlite/approval-store.ts'
import { openDatabase } from '../../../lib/adapters/sqlite/database.ts'
import { createDeliveryStore } from '../../../lib/adapters/sqlite/delivery-store.ts'
import { createGroupCommit } from '../../../lib/adapters/sqlite/group-commit.ts'
import { createKeyStore } from '../../../lib/adapters/sqlite/key-store.ts'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { KEYS_SCHEMA, MAIN_SCHEMA } from '../../../lib/adapters/sqlite/schema.ts'
import { createWebhookStore } from '../../../lib/adapters/sqlite/webhook-store.ts'
import type { Approval } from '../../../lib/core/approval.ts'
import { CountersignError } from '../../../lib/core/errors.ts'
import type { ApprovalRequested } from '../../../lib/core/events.ts'
import type { Notification, NotificationType } from '../../../lib/core/notification.ts'
import { viewOf } from '../../../lib/core/view.ts'
import type { ApprovalStore } from '../../../lib/ports/approval-store.ts'
import type { AttemptContext, AttemptOutcome } from '../../../lib/ports/channel.ts'
import type { Clock } from '../../../lib/ports/clock.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import type { SlackSettings } from '../../../lib/runtime/config/slack.ts'
import { Directory } from '../../../lib/runtime/directory.ts'
import { createHttpApp } from '../../../lib/runtime/http-app.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { createMetrics } from '../../../lib/runtime/metrics.ts'
import { createDecider } from '../../../services/decider/app.ts'
import { channelEndpoint } from '../../../services/notifier/deliveries/channel-endpoint.ts'
import { Health } from '../../../services/notifier/deliveries/health.ts'
import { Worker } from '../../../services/notifier/deliveries/worker.ts'
import { createSlack } from '../../../services/notifier/slack/slack.ts'
import { anApproval } from '../../support/approvals.ts'
import { aDelivery } from '../../support/deliveries.ts'
import { BOT_TOKEN, SIGNING_SECRET, type SlackMessageSeen, startSlack } from '../../support/slack-server.ts'

const ALICE = 'U0ALICE'
/** Waits are over ten times sooner. */
const hasty: Clock = { now: systemClock.now, after: (ms, callback) => systemClock.after(ms / 10, callback) }

/** Slack's side of the notifier over a real decider and store, both of which can be made to fail. */
async function start(more: Partial<SlackSettings> = {}, clock: Clock = systemClock) {
  const slack = await startSlack()
  const dir = mkdtempSync(join(tmpdir(), 'countersign-slack-'))
  const log = createLogger('silent')
  const metrics = createMetrics()
  const db = openDatabase(join(dir, 'countersign.db'), MAIN_SCHEMA)
  const keysDb = openDatabase(join(dir, 'keys.db'), KEYS_SCHEMA)
  const groupCommit = createGroupCommit(db)
  const bus = createLogBus({ db, groupCommit, codec: avroCodec(), clock: systemClock, source: 'test' })
  const real = createApprovalStore({ db, groupCommit })
  const keys = createKeyStore({ db: keysDb, clock: systemClock })
  const faults = { store: false, afterLookup: undefined as (() => Promise<unknown>) | undefined }
  const failing: ApprovalStore['replace'] = async (version, next) => {
    if (faults.store) throw new CountersignError('decider_unavailable', 'The store is away.')
    return real.replace(version, next)
  }
  const store = new Proxy(real, {
    get(target, name) {
      if (name === 'replace') return failing
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const named = { groups: [], role: 'approver' as const, tenant: 'default', tokenSha256: undefined, email: undefined }
  const approvers = ['alice', 'bob'].map((name) => ({ ...named, name }))
  const directory = new Directory({ agents: [], approvers }, keys, systemClock)
  const service = createDecider({
    ...{ store, bus, clock: systemClock, log, metrics, directory },
    decideTopic: 'refused',
    retentionMs: 86_400_000,
  })
  await service.start()
  const settings: SlackSettings = {
    channel: '#approvals',
    users: new Map([
      [ALICE, 'alice'],
      ['U0BOB', 'bob'],
    ]),
    routes: [],
    mode: 'decide',
    tenant: 'default',
    apiUrl: slack.apiUrl,
    apiTimeoutMs: 5_000,
    botToken: BOT_TOKEN,
    signingSecret: SIGNING_SECRET,
    appToken: undefined,
    ...more,
  }
  const { decider } = service
  const lines: string[] = []
  const open = () =>
    createSlack({
      ...openSlackWorkspace({ ...settings, clock, log }),
      ...{ settings, identity: directory, publicUrl: undefined, clock, metrics },
      log: createLogger('info', { write: (line: string) => lines.push(line) }),
      decider: {
        decide: (request) => decider.decide(request),
        lookup: async (tenant, id) => {
          const found = await decider.lookup(tenant, id)
          const meanwhile = faults.afterLookup
          faults.afterLookup = undefined
          await meanwhile?.()
          return found
        },
      },
    })
  const cards = open()
  const app = await createHttpApp({ identity: directory, log, metrics })
  await app.register(cards.routes)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(async () => {
    await app.close()
    await cards.close()
    await service.close()
    await bus.close()
    await real.close()
    await keys.close()
    db.close()
    keysDb.close()
    rmSync(dir, { recursive: true, force: true })
  })

  const notifyBy = async (
    { channel }: ReturnType<typeof open>,
    ...[type, approval, context = {}]: [NotificationType, Approval, Partial<AttemptContext>?]
  ) => {
    const notification: Notification = { id: `${approval.id}:e`, type, at: 0, approval: viewOf(approval) }
    const whole = { attempt: 1, receipt: null, signal: new AbortController().signal, ...context }
    return channel.deliver(notification, whole)
  }
  const notify = (type: NotificationType, approval: Approval, context?: Partial<AttemptContext>) =>
    notifyBy(cards, type, approval, context)
  /** As another process sees it that knows nothing of this one. */
  const notifyAfresh: typeof notify = (type, approval, context) => notifyBy(open(), type, approval, context)
  /** A pending record. */
  async function pending(overrides: Partial<ApprovalRequested> = {}): Promise<Approval> {
    const approval = anApproval({ requestedAt: Date.now(), ...overrides })
    await real.insert(approval)
    return approval
  }
  /** A pending record with its card. */
  async function asked(overrides: Partial<ApprovalRequested> = {}) {
    const approval = await pending(overrides)
    const receipt = receiptOf(await notify('approval.requested', approval))
    const card = slack.cards().find(({ ts, channel }) => receipt === `${channel}/${ts}`)
    if (!card) throw new Error('there is no card')
    return { approval, receipt, card }
  }
  const decide = ({ id }: Approval, decision: 'approve' | 'deny', name = 'bob') =>
    decider.decide({
      ...{ tenant: 'default', id, decision, reason: null, edits: null },
      by: { id: name, name, type: 'user', via: 'http', groups: [] },
    })
  const record = (id: string) => decider.lookup('default', id)
  /** Two workers over the deliveries of what happened so far. */
  async function workTwice(notifications: readonly Notification[]) {
    const deliveries = createDeliveryStore({ db, groupCommit })
    const webhooks = createWebhookStore({ db, groupCommit })
    await deliveries.insert(
      notifications.map((notification) =>
        aDelivery({
          ...{ endpoint: 'slack', approvalId: notification.approval.id, eventId: notification.id },
          ...{ type: notification.type, version: notification.approval.version, body: JSON.stringify(notification) },
        }),
      ),
    )
    const endpoint = channelEndpoint({ channel: cards.channel, store: deliveries, since: 0 })
    const health = new Health({ webhooks, clock, log, metrics, onDisabled: async () => {} })
    const workers = ['worker-1', 'worker-2'].map(
      (owner) =>
        new Worker({
          ...{ store: deliveries, health, decider, clock, log, metrics, owner, random: () => 0 },
          endpoints: { current: async () => ({ all: [endpoint], get: () => endpoint }) },
          pace: { pauseMs: () => 0 },
        }),
    )
    for (const worker of workers) worker.wake()
    return async () => {
      await Promise.all(workers.map((worker) => worker.close()))
      await deliveries.close()
      await webhooks.close()
    }
  }
  return { slack, faults, url, lines, notify, notifyAfresh, pending, asked, decide, record, workTwice }
}

function receiptOf(outcome: AttemptOutcome): string {
  if (outcome.type !== 'delivered' || outcome.receipt === undefined) throw new Error(JSON.stringify(outcome))
  return outcome.receipt
}

const wordsOf = ({ blocks }: SlackMessageSeen): string => JSON.stringify(blocks)

describe('a click', () => {
  it('while the store fails is answered 500, and counts when Slack sends it again', async () => {
    const { slack, url, faults, asked, record } = await start()
    const { approval, card } = await asked()
    const press = slack.press(card, 'countersign.approve', ALICE)
    faults.store = true
    const failed = await slack.send(url, press)
    expect([failed.status, await failed.json()]).toMatchObject([500, { code: 'internal_error' }])
    expect(await record(approval.id)).toMatchObject({ status: 'pending', votes: [] })
    faults.store = false
    expect((await slack.send(url, press)).status).toBe(200)
    expect(await record(approval.id)).toMatchObject({ status: 'approved', votes: [{ by: { name: 'alice' } }] })
  })

  it('ten times at once is one decision', async () => {
    const { slack, url, asked, record } = await start()
    const { approval, card } = await asked()
    const press = slack.press(card, 'countersign.approve', ALICE)
    const sent = await Promise.all(Array.from({ length: 10 }, () => slack.send(url, press)))
    expect(sent.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect((await record(approval.id)).votes).toHaveLength(1)
  })

  it('by somebody whom Slack does not tell of in time is answered 500 before Slack gives up', async () => {
    const { slack, url, asked, record } = await start({}, hasty)
    const { approval, card } = await asked()
    slack.addUser('U0SLOW')
    slack.fail('users.info', { hang: true })
    expect((await slack.send(url, slack.press(card, 'countersign.approve', 'U0SLOW'))).status).toBe(500)
    expect(await record(approval.id)).toMatchObject({ status: 'pending' })
  })

  it('that opens a modal Slack refuses to open is answered 500', async () => {
    const { slack, url, asked } = await start()
    const { card } = await asked()
    slack.fail('views.open', { error: 'expired_trigger_id' })
    expect((await slack.send(url, slack.press(card, 'countersign.deny', ALICE))).status).toBe(500)
    expect(slack.views).toEqual([])
  })

  it('to approve what needs a reason asks for it first', async () => {
    const { slack, url, asked, record } = await start()
    const { approval, card } = await asked({ reasonRequired: ['approve'] })
    await slack.send(url, slack.press(card, 'countersign.approve', ALICE))
    const [view = {}] = slack.views
    expect(await record(approval.id)).toMatchObject({ status: 'pending' })
    await slack.send(url, slack.submission(view, 'looked at it', ALICE))
    expect(await record(approval.id)).toMatchObject({ status: 'approved', reason: 'looked at it' })
  })

  it('in a modal that comes too late names who was first', async () => {
    const { slack, url, asked, decide, record } = await start()
    const { approval, card } = await asked()
    await slack.send(url, slack.press(card, 'countersign.deny', ALICE))
    await decide(approval, 'approve')
    const [view = {}] = slack.views
    const late = await slack.send(url, slack.submission(view, null, ALICE))
    const errors = { reason: 'It is settled. Approved by bob (http).' }
    expect(await late.json()).toEqual({ response_action: 'errors', errors })
    expect(await record(approval.id)).toMatchObject({ status: 'approved' })
    await slack.until(() => wordsOf(card).includes('Approved by bob'), 'the card')
  })

  it('on an approval that is gone says so', async () => {
    const { slack, url, notify } = await start()
    const approval = anApproval()
    receiptOf(await notify('approval.requested', approval))
    const [card] = slack.cards()
    if (!card) throw new Error('there is no card')
    expect((await slack.send(url, slack.press(card, 'countersign.approve', ALICE))).status).toBe(200)
    const whisper = await slack.until(() => slack.whispers[0], 'a whisper')
    expect(whisper.text).toBe('There is no such approval.')
  })

  it('by a user of another workspace, or of another app, counts nothing, whatever id it has', async () => {
    const { slack, url, asked, record } = await start()
    const { approval, card } = await asked()
    const press = slack.press(card, 'countersign.approve', ALICE)
    const { user, team, api_app_id: _, ...rest } = press
    const foreign = [
      slack.press(card, 'countersign.approve', ALICE, 'T0OTHER'),
      { ...press, user: { id: ALICE }, team: { id: 'T0OTHER' } },
      { ...press, user: { id: ALICE }, team: null },
      { ...press, api_app_id: 'A0OTHER' },
      { ...rest, user, team },
    ]
    for (const [index, each] of foreign.entries()) {
      expect((await slack.send(url, each)).status).toBe(200)
      const whisper = await slack.until(() => slack.whispers[index], 'a whisper')
      expect(whisper.text).toContain('You are no approver here')
    }
    await slack.send(url, slack.press(card, 'countersign.deny', ALICE))
    const [view = {}] = slack.views
    const sent = await slack.send(url, slack.submission(view, 'no', ALICE, 'T0OTHER'))
    expect(await sent.json()).toMatchObject({ response_action: 'errors', errors: { reason: /no approver/ } })
    expect(await record(approval.id)).toMatchObject({ status: 'pending', votes: [] })
    // Where the user's own workspace is not said, it is the payload's.
    expect((await slack.send(url, { ...press, user: { id: ALICE } })).status).toBe(200)
    expect(await record(approval.id)).toMatchObject({ status: 'approved' })
  })

  it('on a link asks nothing of us', async () => {
    const { slack, url, asked } = await start()
    const { card } = await asked()
    const press = slack.press(card, 'countersign.details', ALICE)
    const followed = { ...press, actions: [{ action_id: 'countersign.page' }] }
    expect((await slack.send(url, followed)).status).toBe(200)
    expect(slack.views).toEqual([])
  })
})

describe('the channel', () => {
  it('has one card for each approval, however many workers there are', async () => {
    const { slack, pending, decide, workTwice } = await start()
    const asked = await Promise.all(Array.from({ length: 12 }, () => pending()))
    const decided = await Promise.all(asked.map((approval) => decide(approval, 'deny')))
    const notifications = [...asked, ...decided].map((approval): Notification => {
      const type = approval.status === 'pending' ? 'approval.requested' : 'approval.decided'
      return { id: `${approval.id}:${approval.version}`, type, at: 0, approval: viewOf(approval) }
    })
    const stop = await workTwice(notifications)
    await slack.until(() => slack.messages.length === 24, 'twelve cards and what became of them')
    await stop()
    const cards = slack.cards()
    expect(cards).toHaveLength(12)
    for (const card of cards) {
      expect(wordsOf(card)).toContain('Denied by bob (http).')
      expect(slack.thread(card).map(({ text }) => text)).toEqual(['Denied by bob (http).'])
    }
  })

  it('posts once, and finds the card whose posting it never heard of', async () => {
    const { slack, notify, pending } = await start({ channel: 'C0APPROVALS' })
    const approval = await pending()
    slack.fail('chat.postMessage', { lost: true })
    const lost = await notify('approval.requested', approval)
    expect(lost).toEqual({ type: 'failed', detail: 'Slack: unreachable' })
    const receipt = receiptOf(await notify('approval.requested', approval, { attempt: 2 }))
    expect(slack.cards().map(({ channel, ts }) => `${channel}/${ts}`)).toEqual([receipt])
  })

  it('finds the card by its name after a restart, when Slack took it and never answered', async () => {
    const { slack, notify, notifyAfresh, pending, decide } = await start({ apiTimeoutMs: 300 })
    const approval = await pending()
    slack.fail('chat.postMessage', { silent: true })
    expect(await notify('approval.requested', approval)).toEqual({ type: 'failed', detail: 'Slack: timeout' })
    const receipt = receiptOf(await notifyAfresh('approval.requested', approval, { attempt: 2 }))
    const decided = await decide(approval, 'approve')
    expect(receiptOf(await notifyAfresh('approval.decided', decided))).toBe(receipt)
    const [card, ...more] = slack.cards()
    expect(more).toEqual([])
    expect(card && wordsOf(card)).toContain('Approved by bob (http).')
    expect(card && wordsOf(card)).not.toContain('countersign.approve')
  })

  it('posts no second card where it cannot know whether there is one, and says so once', async () => {
    const { slack, lines, notify, notifyAfresh, pending } = await start()
    slack.mayList.clear()
    const approval = await pending()
    slack.fail('chat.postMessage', { lost: true })
    await notify('approval.requested', approval)
    const failed = { type: 'failed', detail: 'Slack: missing_scope', status: 200 }
    for (const attempt of [2, 3]) expect(await notify('approval.requested', approval, { attempt })).toEqual(failed)
    expect(await notifyAfresh('approval.requested', approval, { attempt: 4 })).toEqual(failed)
    expect(slack.cards()).toHaveLength(1)
    const told = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error')
    // One by each of the two processes.
    expect(told).toMatchObject(Array(2).fill({ channel: '#approvals', reason: 'missing_scope' }))
    slack.mayList.add('public_channel')
    receiptOf(await notify('approval.requested', approval, { attempt: 5 }))
    expect(slack.cards()).toHaveLength(1)
  })

  it('posts again what Slack certainly did not take, also where it may not look', async () => {
    const { slack, notify, pending } = await start()
    slack.mayList.clear()
    slack.mayReadHistory = false
    const approval = await pending()
    slack.fail('chat.postMessage', { retryAfter: 1 }, { error: 'channel_not_found' })
    for (const attempt of [1, 2])
      expect((await notify('approval.requested', approval, { attempt })).type).toBe('failed')
    receiptOf(await notify('approval.requested', approval, { attempt: 3 }))
    expect(slack.cards()).toHaveLength(1)
  })

  it('shows what happened while the card was posted', async () => {
    const { slack, notify, pending, decide } = await start()
    const approval = await pending()
    await decide(approval, 'deny')
    receiptOf(await notify('approval.requested', approval))
    expect(slack.cards().map((card) => [card.updates, wordsOf(card).includes('Denied by bob (http).')])).toEqual([
      [1, true],
    ])
  })

  it('writes the record as it stands, also when it changes while it is written', async () => {
    const { slack, faults, notify, asked, decide } = await start()
    const { approval, receipt, card } = await asked()
    // What is read first is still pending; the decision falls before it is written.
    faults.afterLookup = () => decide(approval, 'approve')
    await notify('approval.expiring', approval, { receipt })
    expect(wordsOf(card)).toContain('Approved by bob (http).')
    expect(card.updates).toBe(2)
    expect(slack.thread(card).map(({ text }) => text)).toEqual(['It is not decided yet.'])
  })

  it('posts no card for what was decided before anybody saw it', async () => {
    const { slack, notify, pending, decide } = await start()
    const approval = await decide(await pending(), 'approve')
    expect(await notify('approval.decided', approval)).toEqual({ type: 'delivered' })
    expect(slack.messages).toEqual([])
  })

  it('posts a deleted card again once, also when the answer to that is lost', async () => {
    const { slack, notify, asked } = await start()
    const { approval, receipt } = await asked()
    slack.messages.length = 0
    slack.fail('chat.postMessage', { lost: true })
    expect((await notify('approval.expiring', approval, { receipt })).type).toBe('failed')
    const again = receiptOf(await notify('approval.expiring', approval, { receipt, attempt: 2 }))
    expect(slack.cards().map(({ channel, ts }) => `${channel}/${ts}`)).toEqual([again])
  })

  it('posts a deleted card again while somebody must decide, and gives up afterwards', async () => {
    const { slack, notify, asked, decide } = await start()
    const { approval, receipt } = await asked()
    slack.messages.length = 0
    const again = receiptOf(await notify('approval.expiring', approval, { receipt }))
    expect(slack.cards().map(({ channel, ts }) => `${channel}/${ts}`)).toEqual([again])
    slack.messages.length = 0
    const decided = await decide(approval, 'approve')
    const outcome = await notify('approval.decided', decided, { receipt: again })
    expect(outcome).toEqual({ type: 'rejected', detail: 'Slack: message_not_found', status: 200 })
  })

  it('says how an attempt failed, and when Slack will listen again', async () => {
    const { slack, notify, pending } = await start()
    const approval = await pending()
    slack.fail(
      'chat.postMessage',
      { retryAfter: 30 },
      { error: 'is_archived' },
      { error: 'invalid_blocks' },
      { status: 503 },
    )
    const attempt = () => notify('approval.requested', approval)
    expect(await attempt()).toEqual({ type: 'failed', detail: 'Slack: ratelimited', status: 429, retryAfterMs: 30_000 })
    expect(await attempt()).toEqual({ type: 'failed', detail: 'Slack: is_archived', status: 200 })
    expect(await attempt()).toEqual({ type: 'rejected', detail: 'Slack: invalid_blocks', status: 200 })
    expect(await attempt()).toEqual({ type: 'failed', detail: 'Slack: http_503', status: 503 })
    await expect(notify('approval.requested', approval, { signal: AbortSignal.abort() })).rejects.toThrow()
  })

  it('sends each card where the first route that fits says', async () => {
    const route = { rules: [], tools: [], risks: [], channel: '#finance' }
    const { slack, asked } = await start({
      routes: [
        { ...route, rules: ['big-*'], risks: ['critical'] },
        { ...route, tools: ['bank.*'] },
        { ...route, rules: ['big-refund'], channel: '#approvals' },
        { ...route, rules: ['big-*'] },
      ],
    })
    const { action, rule } = anApproval()
    await asked()
    await asked({ risk: 'critical' })
    await asked({ action: { ...action, tool: 'bank.transfer' } })
    await asked({ rule: { ...rule, ids: ['other', 'big-other'] } })
    await asked({ rule: { ...rule, ids: ['other'] } })
    expect(slack.cards().map(({ channel }) => channel)).toEqual([
      'C0APPROVALS',
      ...Array(3).fill('C0FINANCE'),
      'C0APPROVALS',
    ])
  })
})
