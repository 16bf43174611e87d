import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { createLogger } from '../../lib/runtime/logger.ts'
import { POLICY, startWorld, type World } from '../support/server.ts'
import { BOT_TOKEN, SIGNING_SECRET, type SlackServer, startSlack } from '../support/slack-server.ts'

beforeAll(() => {
  vi.stubEnv('SLACK_BOT_TOKEN', BOT_TOKEN)
  vi.stubEnv('SLACK_SIGNING_SECRET', SIGNING_SECRET)
  vi.stubEnv('SLACK_APP_TOKEN', '')
})
afterAll(() => vi.unstubAllEnvs())

const ALICE = 'U0ALICE'
const MALLORY = 'U0MALLORY'
const later = { headers: { prefer: 'respond-async' } }
const approvers = `
approvers:
  - { name: alice, groups: [finance] }
  - { name: dave, email: "dave@example.com" }
`

/** A server with cards in a Slack of its own. */
function slackScenario(
  name: string,
  run: (world: World & { slack: SlackServer }) => Promise<void>,
  options: { slack?: string; log?: string[]; policy?: string } = {},
) {
  test(name, async () => {
    const slack = await startSlack()
    const { slack: more = 'channel: "#approvals"' } = options
    const config = `${approvers}\nslack: { apiUrl: "${slack.apiUrl}", users: { ${ALICE}: alice }, ${more} }`
    const log = createLogger('trace', { write: (line: string) => options.log?.push(line) })
    const { policy = POLICY } = options
    await run({ ...(await startWorld({ config, log, policy })), slack })
  })
}

const textOf = (card: { blocks: unknown }) => JSON.stringify(card.blocks)

slackScenario(
  'a call is asked by one card, approved by a click, and the card tells what became of it',
  async (world) => {
    const { agent, slack, admin } = world
    const held = agent.ask('stripe.refund', { amount: 120, note: '<!channel>' }, { context: { user: 'alice' } })
    const card = await slack.card(({ text }) => text.startsWith('Approval needed'))
    expect(textOf(card)).toContain('&lt;!channel&gt;')
    expect(textOf(card)).not.toContain('<!channel>')
    // The one for whom the agent asks may not approve it; somebody else may.
    const refused = await slack.send(world.url, slack.press(card, 'countersign.approve', ALICE))
    expect([refused.status, await refused.json()]).toEqual([200, {}])
    const { text } = await slack.until(() => slack.whispers[0], 'a whisper')
    expect(text).toContain('somebody else must decide')
    slack.addUser('U0DAVE', {}, 'Dave@example.com')
    expect((await slack.send(world.url, slack.press(card, 'countersign.approve', 'U0DAVE'))).status).toBe(200)
    const answer = await held
    expect(answer).toMatchObject({ status: 200, body: { effect: 'allow', decidedBy: [{ name: 'dave' }] } })
    const id = answer.headers.get('countersign-approval') ?? ''
    expect((await admin.record(id)).votes).toMatchObject([{ by: { name: 'dave', via: 'slack' } }])
    await slack.card(
      (each) => textOf(each).includes('Approved by dave (slack).') && !textOf(each).includes('countersign.'),
    )
    await agent.send('POST', `/v1/actions/${id}/outcome`, { body: { status: 'executed' } })
    await slack.until(() => slack.thread(card).length === 2, 'two follow-ups')
    const told = slack.thread(card).map((each) => each.text)
    expect(told).toEqual([`<@${ALICE}> Approved by dave (slack).`, 'The call: executed.'])
    expect(slack.cards()).toHaveLength(1)
  },
)

slackScenario('a denial asks for the reason in a modal, and the agent is told it', async ({ url, agent, slack }) => {
  const held = agent.ask('with.reason')
  const card = await slack.card(() => true)
  await slack.send(url, slack.press(card, 'countersign.deny', ALICE))
  const view = await slack.until(() => slack.views[0], 'a modal')
  const empty = await slack.send(url, slack.submission(view, '  ', ALICE))
  expect(await empty.json()).toMatchObject({ response_action: 'errors', errors: { reason: /asks for a reason/ } })
  const sent = await slack.send(url, slack.submission(view, 'not today', ALICE))
  expect([sent.status, await sent.json()]).toEqual([200, {}])
  expect(await held).toMatchObject({ status: 403, body: { code: 'approval_denied', reason: 'not today' } })
  await slack.card((each) => textOf(each).includes('Reason given: not today'))
})

slackScenario('the details show the whole redacted preview', async ({ url, agent, slack }) => {
  await agent.ask('kept.x', { password: 'hunter2', list: [1, 2] }, later)
  const card = await slack.card(() => true)
  expect(textOf(card)).not.toContain('hunter2')
  await slack.send(url, slack.press(card, 'countersign.details', ALICE))
  const view = await slack.until(() => slack.views[0], 'a modal')
  expect(JSON.stringify(view)).toContain('list')
  expect(JSON.stringify(view)).not.toContain('hunter2')
})

slackScenario(
  'a card shows the outcome, wherever it came from, and clicks on it are told of it',
  async ({ url, agent, admin, slack }) => {
    const ask = async (tool: string) => {
      const { body } = await agent.ask(tool, {}, later)
      const id = String(body.approvalId)
      const card = await slack.card(({ metadata }) => JSON.stringify(metadata).includes(id))
      return { id, card, press: slack.press(card, 'countersign.approve', ALICE) }
    }
    const shows = async ({ card }: { card: { ts: string } }, words: string) => {
      await slack.until(() => slack.cards().some((each) => each.ts === card.ts && textOf(each).includes(words)), words)
    }
    const byHttp = await ask('kept.http')
    await admin.decide(byHttp.id, 'deny', { reason: 'by the page' })
    await shows(byHttp, 'Denied by owner (http).')

    const byStream = await ask('kept.stream')
    const stream = await admin.stream()
    stream.send({ type: 'decide', ref: '1', id: byStream.id, decision: 'approve' })
    await shows(byStream, 'Approved by owner (ws).')

    const withdrawn = await ask('kept.withdrawn')
    await agent.send('DELETE', `/v1/actions/${withdrawn.id}`)
    await shows(withdrawn, 'The request was withdrawn.')

    const expired = await ask('brief')
    await shows(expired, 'Nobody decided in time.')

    for (const [index, { press }] of [byHttp, byStream, withdrawn, expired].entries()) {
      expect((await slack.send(url, press)).status).toBe(200)
      await slack.until(() => slack.whispers.length > index, 'a whisper')
    }
    expect(slack.whispers.map(({ text }) => text)).toEqual([
      'It is settled. Denied by owner (http).',
      'It is settled. Approved by owner (ws).',
      'It is settled. The request was withdrawn.',
      'It is settled. Nobody decided in time.',
    ])
    expect((await admin.record(expired.id)).status).toBe('expired')
  },
  {
    policy: `${POLICY}  - { id: brief, match: { tool: brief }, action: require_approval, approval: { timeout: 5s } }\n`,
  },
)

slackScenario('whoever is no approver is told so alone, and nothing changes', async ({ url, agent, admin, slack }) => {
  const { body } = await agent.ask('kept.x', {}, later)
  const card = await slack.card(() => true)
  slack.addUser(MALLORY)
  slack.addUser('U0GUEST', { is_restricted: true }, 'dave@example.com')
  slack.addUser('U0GONE', { deleted: true }, 'dave@example.com')
  slack.addUser('U0BOTTY', { is_bot: true }, 'dave@example.com')
  slack.addUser('U0OTHER', { team_id: 'T0OTHER' }, 'dave@example.com')
  slack.addUser('U0UNSURE', { is_email_confirmed: false }, 'dave@example.com')
  const strangers = [MALLORY, 'U0GUEST', 'U0GONE', 'U0BOTTY', 'U0OTHER', 'U0UNSURE']
  for (const [index, user] of strangers.entries()) {
    expect((await slack.send(url, slack.press(card, 'countersign.approve', user))).status).toBe(200)
    const whisper = await slack.until(() => slack.whispers[index], 'a whisper')
    expect(whisper).toMatchObject({ user, text: expect.stringContaining('no approver') })
  }
  expect((await admin.record(String(body.approvalId))).votes).toEqual([])
  expect(slack.cards()[0]?.updates).toBe(0)
})

slackScenario(
  'two votes: the card counts them, and the same click again is one vote',
  async ({ url, agent, slack }) => {
    const held = agent.ask('two.people')
    const card = await slack.card(() => true)
    const press = slack.press(card, 'countersign.approve', ALICE)
    await slack.send(url, press)
    await slack.send(url, press)
    await slack.card((each) => textOf(each).includes('cast: alice: approve'))
    slack.addUser('U0DAVE', {}, 'dave@example.com')
    await slack.send(url, slack.press(card, 'countersign.approve', 'U0DAVE'))
    expect((await held).status).toBe(200)
    await slack.until(() => slack.thread(card).length === 2, 'two follow-ups')
    expect(slack.thread(card)[0]?.text).toBe('alice voted to approve (1 of 2).')
  },
)

slackScenario('what is not signed, or no click of ours, changes nothing', async ({ url, agent, admin, slack }) => {
  const { body } = await agent.ask('kept.x', {}, later)
  const card = await slack.card(() => true)
  const press = slack.press(card, 'countersign.approve', ALICE)
  const form = (payload: unknown) => new URLSearchParams({ payload: JSON.stringify(payload) }).toString()
  for (const headers of slack.badHeaders(form(press)))
    expect([headers, (await slack.sendRaw(url, form(press), headers)).status]).toEqual([headers, 401])
  const action = { ...(press.actions as object[])[0] }
  const bad = [
    new URLSearchParams({ payload: '{' }).toString(),
    'other=1',
    '',
    form(null),
    form({ ...press, type: 'shortcut' }),
    form({ ...press, actions: [] }),
    form({ ...press, actions: [{ ...action, action_id: 'countersign.other' }] }),
    form({ ...press, actions: [{ ...action, value: 'apr_nonsense' }] }),
    form({ ...press, user: {} }),
  ]
  for (const each of bad) expect([each, (await slack.sendRaw(url, each)).status]).toEqual([each, 400])
  expect((await slack.sendRaw(url, 'x'.repeat(300_000))).status).toBe(413)
  expect((await fetch(`${url}/slack/actions`)).status).toBe(404)
  expect(await admin.record(String(body.approvalId))).toMatchObject({ status: 'pending', votes: [] })
  const { paths } = (await admin.send<{ paths: object }>('GET', '/openapi.json')).body
  expect(paths).toHaveProperty(['/slack/actions', 'post'])
  const metrics = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${admin.secret}` } })).text()
  expect(metrics).toMatch(/countersign_slack_clicks_total\{result="unsigned"\} [1-9]/)
  expect(metrics).toMatch(/countersign_slack_clicks_total\{result="malformed"\} [1-9]/)
})

slackScenario(
  'the thread warns before the expiry and tells of the escalation, and who came with it may decide on the card',
  async ({ url, agent, slack }) => {
    const held = agent.ask('stepped')
    const card = await slack.card(() => true)
    await slack.until(() => slack.thread(card).length === 2, 'a warning and a step')
    expect(slack.thread(card).map(({ text }) => text)).toEqual([
      'It is not decided yet.',
      'Escalated: dave, alice may decide now.',
    ])
    expect(textOf(card)).toContain('Approvers: dave, alice')
    await slack.send(url, slack.press(card, 'countersign.approve', ALICE))
    expect(await held).toMatchObject({ status: 200, body: { decidedBy: [{ name: 'alice', via: 'slack' }] } })
    expect(slack.cards()).toHaveLength(1)
  },
  {
    policy: `
version: 1
default: allow
rules:
  - id: stepped
    match: { tool: stepped }
    action: require_approval
    approval: { approvers: [dave], timeout: 40s, warn: 2%, escalation: [{ after: 3s, approvers: [alice], channels: [slack] }] }
`,
  },
)

slackScenario('after a restart it is still one card, and clicks on it count', async (world) => {
  const { url, agent, slack } = world
  const { body } = await agent.ask('kept.x', {}, later)
  const card = await slack.card(() => true)
  await world.restart()
  await slack.send(url, slack.press(card, 'countersign.approve', ALICE))
  await slack.card((each) => textOf(each).includes('Approved by alice (slack).'))
  expect(slack.cards()).toHaveLength(1)
  expect((await agent.send('GET', `/v1/actions/${body.approvalId}`)).body).toMatchObject({ status: 'approved' })
})

slackScenario(
  'a card that Slack took without an answer is found after a restart, and shows what was decided elsewhere',
  async (world) => {
    const { agent, admin, slack } = world
    slack.fail('chat.postMessage', { silent: true })
    const { body } = await agent.ask('kept.x', {}, later)
    const card = await slack.card(() => true)
    await world.restart()
    await admin.decide(String(body.approvalId), 'approve')
    await slack.until(() => textOf(card).includes('Approved by owner (http).'), 'the outcome')
    expect(textOf(card)).not.toContain('countersign.approve')
    expect(slack.cards()).toHaveLength(1)
  },
)

const attempts: string[] = []
slackScenario(
  'while Slack refuses the hold goes on, the failure is on record, and the card comes late',
  async ({ agent, admin, slack }) => {
    slack.fail('chat.postMessage', { retryAfter: 1 })
    const held = agent.ask('stripe.refund', { amount: 1 })
    const [pending] = await admin.pending()
    const card = await slack.card(() => true)
    await admin.decide(pending?.id ?? '', 'approve')
    expect((await held).status).toBe(200)
    await slack.until(() => textOf(card).includes('Approved by owner'), 'the outcome')
    const ofSlack = attempts.map((line) => JSON.parse(line)).filter(({ endpoint }) => endpoint === 'slack')
    expect(ofSlack.slice(0, 2)).toMatchObject([
      { msg: 'delivery attempted', outcome: 'failed', status: 429, detail: 'Slack: ratelimited', attempt: 1 },
      { msg: 'delivery attempted', outcome: 'delivered', attempt: 2 },
    ])
  },
  { log: attempts },
)

const lines: string[] = []
slackScenario(
  'no token is ever logged, whatever fails',
  async ({ url, agent, slack }) => {
    slack.fail('chat.postMessage', { status: 500 })
    await agent.ask('kept.x', {}, later)
    const card = await slack.card(() => true)
    slack.fail('chat.postEphemeral', { status: 502 })
    await slack.send(url, slack.press(card, 'countersign.approve', MALLORY))
    await slack.until(() => slack.calls.some(({ method }) => method === 'users.info'), 'a look-up')
    expect(lines.join('')).toContain('delivery attempted')
    for (const secret of [BOT_TOKEN, SIGNING_SECRET]) expect(lines.join('')).not.toContain(secret)
  },
  { log: lines },
)

slackScenario(
  'each rule has its channel, and notify-only shows no buttons and takes no clicks',
  async ({ url, agent, slack }) => {
    await agent.ask('stripe.refund', { amount: 5 }, later)
    await agent.ask('kept.x', {}, later)
    const refund = await slack.card(({ channel }) => channel === 'C0FINANCE')
    await slack.card(({ channel }) => channel === 'C0APPROVALS')
    expect(textOf(refund)).not.toContain('countersign.')
    expect((await slack.sendRaw(url, 'payload=%7B%7D')).status).toBe(404)
    expect(slack.cards()).toHaveLength(2)
  },
  {
    slack:
      'channel: "#approvals", mode: notify-only, routes: [ { rules: ["refund*"], risks: [high], channel: "#finance" } ]',
  },
)

test('start-up names every missing setting at once, and no value', async () => {
  vi.stubEnv('SLACK_BOT_TOKEN', 'xoxp-secret-of-a-user')
  vi.stubEnv('SLACK_SIGNING_SECRET', '')
  onTestFinished(() => {
    vi.stubEnv('SLACK_BOT_TOKEN', BOT_TOKEN)
    vi.stubEnv('SLACK_SIGNING_SECRET', SIGNING_SECRET)
  })
  const failure = await startWorld({ config: 'slack: {}' }).catch((error: Error) => error)
  expect(failure).toMatchObject({
    problems: [
      'slack.channel is missing',
      'SLACK_BOT_TOKEN must be a bot token (xoxb-…)',
      'SLACK_SIGNING_SECRET is missing (or SLACK_APP_TOKEN, for Socket Mode)',
    ],
  })
  expect(String(failure)).not.toContain('xoxp-secret')
})
