import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSlackSocket } from '../../../lib/adapters/slack/socket-mode.ts'
import { createSlackApi } from '../../../lib/adapters/slack/web-api.ts'
import { SlackError } from '../../../lib/ports/slack.ts'
import { systemClock } from '../../../lib/runtime/clock.ts'
import { createLogger } from '../../../lib/runtime/logger.ts'
import { APP, APP_TOKEN, BOT_TOKEN, type SlackServer, startSlack, TEAM } from '../../support/slack-server.ts'

const MESSAGE = { text: 'hello', blocks: [{ type: 'section', text: { type: 'plain_text', text: 'hello' } }] }

function apiOf(
  slack: Pick<SlackServer, 'apiUrl'>,
  more: { token?: string; timeoutMs?: number; lines?: string[] } = {},
) {
  const { token = BOT_TOKEN, timeoutMs = 5_000, lines = [] } = more
  const log = createLogger('trace', { write: (line: string) => lines.push(line) })
  return createSlackApi({ token, apiUrl: slack.apiUrl, timeoutMs, log })
}

/** What a call of `chat.postMessage` rejects with. */
async function failureOf(api: ReturnType<typeof apiOf>): Promise<SlackError> {
  const failure = await api.post('#approvals', MESSAGE).catch((error: unknown) => error)
  if (!(failure instanceof SlackError)) throw new Error('it did not fail')
  return failure
}

describe('the Web API', () => {
  it('posts, rewrites, answers in threads, and finds its own again', async () => {
    const slack = await startSlack()
    const api = apiOf(slack)
    const place = await api.post('#approvals', MESSAGE, { about: 'apr_1' })
    expect(place.channel).toBe('C0APPROVALS')
    await api.post('C0APPROVALS', MESSAGE, { about: 'apr_2' })
    await api.post(place.channel, MESSAGE, { thread: place.ts })
    await api.update(place, { ...MESSAGE, text: 'changed' })
    expect(slack.cards().map(({ text, updates }) => [text, updates])).toEqual([
      ['changed', 1],
      ['hello', 0],
    ])
    expect(await api.find(place.channel, 'apr_1', 0)).toEqual(place)
    expect(await api.find('#approvals', 'apr_1', 0)).toEqual(place)
    expect(await api.find(place.channel, 'apr_3', 0)).toBeUndefined()
    for (const { args } of slack.calls.filter(({ method }) => /^chat/.test(method)))
      expect(args).toMatchObject({ parse: 'none', link_names: 'false' })
  })

  it('finds its own in a channel that it knows by name alone, however much was written since', async () => {
    const slack = await startSlack()
    const before = apiOf(slack)
    const places = [
      await before.post('#approvals', MESSAGE, { about: 'apr_1' }),
      await before.post('#finance', MESSAGE, { about: 'apr_2' }),
    ]
    for (let index = 0; index < 5; index++) await before.post('#approvals', MESSAGE)
    slack.pageSize = 2
    const api = apiOf(slack)
    expect(await Promise.all([api.find('#approvals', 'apr_1', 0), api.find('#finance', 'apr_2', 0)])).toEqual(places)
    expect(await api.find('#approvals', 'apr_3', 0)).toBeUndefined()
    expect(await api.find('#nowhere', 'apr_1', 0)).toBeUndefined()
    const lists = () => slack.calls.filter(({ method }) => method === 'conversations.list').length
    const listed = lists()
    expect(await api.find('#approvals', 'apr_1', 0)).toEqual(places[0])
    expect(lists()).toBe(listed)
  })

  it('does not take what it may not read for nothing', async () => {
    const slack = await startSlack()
    await apiOf(slack).post('#finance', MESSAGE, { about: 'apr_1' })
    slack.mayList.delete('private_channel')
    await expect(apiOf(slack).find('#finance', 'apr_1', 0)).rejects.toMatchObject({ reason: 'missing_scope' })
    await expect(apiOf(slack).find('C0ELSEWHERE', 'apr_1', 0)).rejects.toMatchObject({ reason: 'channel_not_found' })
    slack.mayReadHistory = false
    await expect(apiOf(slack).find('#approvals', 'apr_1', 0)).rejects.toMatchObject({ reason: 'missing_scope' })
  })

  it('gives up on a history without end', async () => {
    const slack = await startSlack()
    const api = apiOf(slack)
    for (let index = 0; index < 12; index++) await api.post('#approvals', MESSAGE)
    slack.pageSize = 1
    await expect(api.find('#approvals', 'apr_1', 0)).rejects.toMatchObject({ reason: 'history_too_long' })
  })

  it('tells a call that Slack certainly did not take from one that it may have done', async () => {
    const slack = await startSlack()
    const untaken = [{ retryAfter: 7 }, { error: 'channel_not_found' }, { status: 400 }]
    const unknown = [{ status: 503 }, { error: 'internal_error' }, { lost: true } as const, { silent: true } as const]
    slack.fail('chat.postMessage', ...untaken, ...unknown)
    const api = apiOf(slack, { timeoutMs: 300 })
    for (const fault of untaken) expect([fault, (await failureOf(api)).isUntaken]).toEqual([fault, true])
    for (const fault of unknown) expect([fault, (await failureOf(api)).isUntaken]).toEqual([fault, false])
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await once(closed, 'close')
    expect((await failureOf(apiOf({ apiUrl: `http://127.0.0.1:${port}/api/` }))).isUntaken).toBe(true)
  })

  it('asks who the token and who a user is', async () => {
    const slack = await startSlack()
    const api = apiOf(slack)
    slack.addUser('U1', {}, 'one@example.com')
    slack.addUser('U2', { is_email_confirmed: undefined, is_ultra_restricted: true })
    expect(await api.home()).toEqual({ teamId: TEAM, appId: APP })
    expect(await api.user('U1')).toEqual({ id: 'U1', teamId: TEAM, email: 'one@example.com', isMember: true })
    expect(await api.user('U2')).toEqual({ id: 'U2', teamId: TEAM, email: null, isMember: false })
    await expect(api.user('U3')).rejects.toMatchObject({ reason: 'user_not_found' })
  })

  it('tries once, and says how it failed', async () => {
    const slack = await startSlack()
    slack.fail('chat.postMessage', { retryAfter: 7 }, { error: 'channel_not_found' }, { status: 503 }, { error: 'A b' })
    const api = apiOf(slack)
    expect(await failureOf(api)).toMatchObject({ reason: 'ratelimited', status: 429, retryAfterMs: 7_000 })
    expect(await failureOf(api)).toMatchObject({ reason: 'channel_not_found', status: 200, retryAfterMs: null })
    expect(await failureOf(api)).toMatchObject({ reason: 'http_503', status: 503 })
    expect(await failureOf(api)).toMatchObject({ reason: 'refused' })
    expect(slack.calls).toHaveLength(4)
    expect(await failureOf(apiOf(slack, { token: 'xoxb-other' }))).toMatchObject({ reason: 'invalid_auth' })
  })

  it('gives up on a Slack that does not answer, or is not there', async () => {
    const slack = await startSlack()
    slack.fail('chat.postMessage', { hang: true }, { lost: true })
    expect(await failureOf(apiOf(slack, { timeoutMs: 150 }))).toMatchObject({ reason: 'timeout', status: null })
    expect(await failureOf(apiOf(slack))).toMatchObject({ reason: 'unreachable', status: null })
    expect(slack.cards()).toHaveLength(1)
    const nowhere = apiOf({ apiUrl: 'http://127.0.0.1:1/api/' })
    expect(await failureOf(nowhere)).toMatchObject({ reason: 'unreachable' })
  })

  it('keeps tokens and messages out of the log', async () => {
    const slack = await startSlack()
    const lines: string[] = []
    slack.fail('chat.postMessage', { status: 500 }, { lost: true }, { error: 'invalid_blocks' }, { retryAfter: 1 })
    const api = apiOf(slack, { lines })
    for (let index = 0; index < 4; index++) await failureOf(api)
    await api.post('#approvals', MESSAGE)
    expect(lines.join('')).toContain('web-api')
    expect(lines.join('')).not.toContain(BOT_TOKEN)
    expect(lines.join('')).not.toContain('hello')
  })
})

describe('Socket Mode', () => {
  async function open(answer: (payload: unknown) => Promise<object | undefined> = async () => undefined) {
    const slack = await startSlack()
    const log = createLogger('silent')
    const options = { apiUrl: slack.apiUrl, timeoutMs: 2_000, clock: systemClock, log }
    const socket = createSlackSocket({ ...options, appToken: APP_TOKEN })
    onTestFinished(() => socket.close())
    return { slack, socket, connect: () => socket.start(answer) }
  }

  it('acknowledges what was answered, with the answer', async () => {
    const { slack, connect } = await open(async (payload) => ({ response_action: 'clear', got: payload }))
    connect()
    expect(await slack.sendBySocket({ type: 'x' })).toEqual({ response_action: 'clear', got: { type: 'x' } })
  })

  it('acknowledges nothing that failed, and goes on', async () => {
    const seen: unknown[] = []
    const { slack, connect } = await open(async (payload) => {
      seen.push(payload)
      if (seen.length === 1) throw new Error('the store is away')
      return undefined
    })
    connect()
    const unanswered = slack.sendBySocket({ n: 1 }).then(() => 'acknowledged')
    expect(await slack.sendBySocket({ n: 2 })).toEqual({})
    expect(await Promise.race([unanswered, Promise.resolve('nothing')])).toBe('nothing')
    expect(seen).toEqual([{ n: 1 }, { n: 2 }])
  })

  it('connects again when the connection breaks, when Slack asks for it, and when Slack was away', async () => {
    const { slack, connect } = await open()
    slack.fail('apps.connections.open', { status: 503 })
    connect()
    await slack.until(() => slack.connections === 1, 'a connection')
    for (const socketOfSlack of slack.sockets) socketOfSlack.terminate()
    await slack.until(() => slack.connections === 2, 'a second connection')
    for (const socketOfSlack of slack.sockets)
      socketOfSlack.send(JSON.stringify({ type: 'disconnect', reason: 'refresh_requested' }))
    await slack.until(() => slack.connections === 3, 'a third connection')
    expect(await slack.sendBySocket({})).toEqual({})
  })

  it('closes while it is connected, while it connects, and before', async () => {
    const connected = await open()
    connected.connect()
    await connected.slack.until(() => connected.slack.connections === 1, 'a connection')
    await connected.socket.close()
    await connected.slack.until(() => connected.slack.sockets.size === 0, 'its end')

    const connecting = await open()
    connecting.connect()
    await connecting.slack.until(() => connecting.slack.calls.length === 1, 'a call')
    await connecting.socket.close()
    await connecting.slack.until(() => connecting.slack.sockets.size === 0, 'its end')

    const idle = await open()
    await idle.socket.close()
    expect(idle.slack.calls).toEqual([])
  })
})
