import { expect, test } from 'vitest'
import { startWorld, type World } from '../support/server.ts'
import { startReceiver, verified, WEBHOOK_SECRET } from '../support/webhook-receiver.ts'
import { countersign } from '../unit/cli/fixture.ts'

const start = (more: object = {}) =>
  startWorld({ config: JSON.stringify({ network: { allowPrivate: ['127.0.0.1'] }, ...more }) })

/** The command, as the owner of this server runs it. */
const commandOf =
  ({ url, admin }: World) =>
  (...args: string[]) =>
    countersign(['webhooks', ...args], { env: { COUNTERSIGN_URL: url, COUNTERSIGN_TOKEN: admin.secret } })

test('an endpoint is made, tested, listed, changed, rotated and deleted from a shell', async () => {
  const receiver = await startReceiver()
  const webhooks = commandOf(await start())
  expect(await webhooks('list')).toMatchObject({ exit: 0, out: '', err: 'There are no webhooks.' })

  const made = await webhooks('create', receiver.url, '--events', 'approval.requested', '--risks', 'high,critical')
  expect(made).toMatchObject({ exit: 0, out: expect.stringMatching(/^whsec_\S+$/) })
  const id = /whk_[0-9a-z]{26}/.exec(made.err)?.[0] ?? ''
  expect(await webhooks('test', id)).toMatchObject({ exit: 0, out: expect.stringMatching(/^delivered, status 204/) })
  expect(verified(receiver.received[0]!, made.out)).toMatchObject({ type: 'webhook.test' })

  const listed = await webhooks('list')
  expect(listed.out).toMatch(/^ID +STATE +SOURCE +WANTS +URL$/m)
  expect(listed.out).toMatch(new RegExp(`^${id} +ok +api +approval.requested, high, critical +${receiver.url}$`, 'm'))

  const change = ['--tools', 'stripe.*,mail.*', '--risks', 'all', '--callback-as', 'owner', '--off']
  expect(await webhooks('update', id, ...change)).toMatchObject({ exit: 0 })
  const shown = await webhooks('show', id)
  expect(shown.out).toMatch(/^state +off$/m)
  expect(shown.out).toMatch(/^tools +stripe\.\*, mail\.\*$/m)
  expect(shown.out).toMatch(/^risks +all$/m)
  expect(shown.out).toMatch(/^links as +owner$/m)
  await webhooks('update', id, '--no-callback-as')
  expect(JSON.parse((await webhooks('show', id, '--json')).out)).toMatchObject({ callbackAs: null, enabled: false })
  expect(await webhooks('enable', id)).toMatchObject({ exit: 0, out: `enabled ${id}` })

  const rotated = await webhooks('rotate', id, '--overlap', '1h')
  expect(rotated.out).not.toBe(made.out)
  expect(rotated.err).toMatch(/The old one signs too until \d{4}-/)
  await webhooks('test', id)
  for (const secret of [made.out, rotated.out]) expect(() => verified(receiver.received[1]!, secret)).not.toThrow()

  expect(await webhooks('delete', id)).toMatchObject({ exit: 0, out: `deleted ${id}` })
  expect(await webhooks('show', id)).toMatchObject({ exit: 1, err: expect.stringContaining('webhook_not_found') })
})

test('a test that is not taken says why and exits 1; deliveries show it, and it is replayed', async () => {
  const receiver = await startReceiver({ reply: () => ({ status: 410 }) })
  const world = await start({ webhooks: [{ id: 'ops', url: receiver.url, secret: WEBHOOK_SECRET }] })
  const webhooks = commandOf(world)
  const refused = await webhooks('test', 'ops')
  expect(refused).toMatchObject({ exit: 1, err: expect.stringContaining('it answered with the status 410') })
  await expect.poll(async () => (await webhooks('list')).out).toContain('disabled (gone)')
  expect(await webhooks('test', 'ops')).toMatchObject({ exit: 1, err: expect.stringContaining('webhook_disabled') })

  const dead = await webhooks('deliveries', 'ops', '--status', 'dead')
  expect(dead.out).toMatch(/dlv_\S+ +\S+ ago +webhook.test +dead +1 +gone: it answered with the status 410/)
  receiver.reply = () => ({})
  await webhooks('enable', 'ops')
  expect(await webhooks('replay', 'ops', '--dead-since', '2026-01-01')).toMatchObject({
    exit: 0,
    out: '1 on their way again',
  })
  await receiver.until(() => receiver.received.length === 2, 'the replay')
  const newest = async () => JSON.parse((await webhooks('deliveries', 'ops', '--json')).out).items
  await expect.poll(newest).toMatchObject([{ status: 'delivered' }])
  const items = await newest()
  expect(await webhooks('replay', 'ops', items[0].id, '--json')).toMatchObject({ exit: 0, out: '{"replayed":1}' })
  await receiver.until(() => receiver.received.length === 3, 'the second replay')
})

test('what cannot be done exits as the contract says', async () => {
  const world = await start({ webhooks: [{ id: 'ops', url: 'https://example.com', secret: WEBHOOK_SECRET }] })
  const webhooks = commandOf(world)
  const refused: [string[], number, string][] = [
    [['delete', 'ops'], 1, 'webhook_read_only'],
    [['show', 'nobody'], 1, 'webhook_not_found'],
    [['create', 'http://192.0.2.1'], 2, 'network.allowPrivate'],
    [['create', 'https://example.com', '--events', 'approval.lost'], 2, 'It must be all, or some of'],
    [['create', 'https://example.com', '--tools', 'a?'], 2, 'has no meaning in a glob'],
    [['rotate', 'ops', '--overlap', 'soon'], 2, 'It must be a time'],
    [['update', 'ops'], 2, 'Say what to change'],
    [['replay', 'ops'], 2, 'Say which'],
    [['replay', 'ops', 'dlv_x', '--dead-since', '1h'], 2, 'Say which'],
    [['replay', 'ops', '--dead-since', 'yesterday'], 2, '--dead-since must be'],
    [['replay', 'ops', 'dlv_x'], 1, 'delivery_not_found'],
    [['deliveries', 'ops', '--status', 'lost'], 2, 'Allowed choices'],
  ]
  for (const [args, exit, message] of refused) {
    const answer = await webhooks(...args)
    expect(answer.exit, args.join(' ')).toBe(exit)
    expect(answer.err).toContain(message)
  }
  await world.stop()
  expect(await webhooks('list')).toMatchObject({ exit: 3 })
})
