import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { avroCodec } from '../../lib/adapters/avro/event-codec.ts'
import { openDatabase } from '../../lib/adapters/sqlite/database.ts'
import { MAIN_SCHEMA } from '../../lib/adapters/sqlite/schema.ts'
import { requestedEvent } from '../support/approvals.ts'
import { withBackend } from '../support/backends/backend.ts'
import { engineRoom, findEngines } from '../support/engines.ts'
import { runCountersign, startProcess } from '../support/process.ts'
import { Caller, startWorld } from '../support/server.ts'
import type { LoggedMessage } from '../support/topic-log.ts'

type Letter = Record<'topic' | 'at' | 'key' | 'eventId' | 'cause' | 'consumer', string> &
  Record<'partition' | 'offset' | 'attempts', number>

const TOPIC = 'approval.requested'
const PATIENCE = { timeout: 40_000, interval: 200 }

function commandIn(cwd: string, env: Record<string, string> = {}) {
  async function run(...args: string[]) {
    const { exited, stdout, stderr } = runCountersign(['dlq', ...args], { cwd, env })
    return { exit: await exited, out: stdout(), err: stderr() }
  }
  async function letters(...more: string[]): Promise<Letter[]> {
    const { exit, out, err } = await run('list', '--json', ...more)
    expect([exit, err]).toEqual([0, ''])
    return JSON.parse(out).items
  }
  const lettersThat = (fits: (found: Letter[]) => void, ...more: string[]) =>
    vi.waitFor(async () => {
      const found = await letters(...more)
      fits(found)
      return found
    }, PATIENCE)
  return { run, letters, lettersThat }
}

/** A sound request as a group that could not handle it left it. */
function soundLetter(): Omit<LoggedMessage, 'event'> & { key: string } {
  const event = requestedEvent({ requestedAt: Date.now() })
  const { value, headers } = avroCodec().encode(event, 'test')
  const said = { dlq_cause: 'no such tenant', dlq_consumer: 'decider', dlq_partition: `${TOPIC}/0`, dlq_offset: '7' }
  return {
    topic: `${TOPIC}.dlq`,
    partition: 0,
    key: event.data.id,
    value: Buffer.from(value),
    headers: { ...headers, ...said, dlq_attempts: '1' },
  }
}

await withBackend('dead letters of a fleet', findEngines, (engines) => {
  describe('dead letters of a fleet', { timeout: 120_000 }, () => {
    test('a message that cannot be handled is listed with its cause, sent back, and listed again', async () => {
      const { env, folder, log } = engineRoom(engines)
      const cwd = folder()
      await startProcess({ cwd, env, args: ['--port', '0'] })
      const { run, letters } = commandIn(cwd, env)
      const setAside = (count: number) =>
        vi.waitFor(async () => expect(await log.read([`${TOPIC}.dlq`])).toHaveLength(count), PATIENCE)
      expect((await run('list')).err).toBe('There are no dead letters.\n')

      const key = 'apr_\u001b[31mred\u202e'
      await log.append([{ topic: TOPIC, partition: 1, key, value: Buffer.from('no event'), headers: { mine: 'kept' } }])
      await setAside(1)
      const [letter] = await letters()
      expect(letter).toMatchObject({ topic: TOPIC, partition: 0, offset: 0, key, consumer: 'decider', attempts: 1 })
      expect(letter?.cause).toMatch(/\S/)
      expect(Date.parse(letter?.at ?? '')).not.toBeNaN()

      const shown = await run('list')
      expect(shown.exit).toBe(0)
      expect(shown.out).toContain('0:0')
      expect(shown.out).toContain(letter?.cause)
      expect(shown.out).toContain('␛[31mred')
      for (const mark of ['\u001b', '\u202e']) expect(shown.out).not.toContain(mark)
      expect(await run('redrive', '--all', '--json')).toMatchObject({ exit: 0, out: '{"sentBack":1}\n' })
      // The letter, the note that it was sent back, and the letter that came of it.
      await setAside(3)
      const [again] = await letters()
      expect(again).toMatchObject({ key, cause: letter?.cause, consumer: 'decider', attempts: 2 })
      expect(again?.offset).toBeGreaterThan(0)
      const messages = (await log.read()).filter((message) => message.key === key)
      expect(messages.map(({ headers }) => headers)).toEqual([{ mine: 'kept' }, { mine: 'kept', dlq_attempts: '1' }])
    })

    test('what is sent back is handled; one place or all, and nothing twice', async () => {
      const { env, folder, log } = engineRoom(engines)
      const cwd = folder()
      const up = await startProcess({ cwd, env, args: ['--port', '0'] })
      const keys = runCountersign(['keys', 'create', '--name', 'boss', '--role', 'admin', '--json'], { cwd, env })
      expect(await keys.exited).toBe(0)
      const admin = new Caller(up.url, JSON.parse(keys.stdout()).key, 'boss')
      const { run, letters } = commandIn(cwd, env)
      const sent = [soundLetter(), soundLetter(), soundLetter()]
      await log.append(sent)
      expect((await letters()).map(({ key }) => key)).toEqual(sent.map(({ key }) => key))
      expect(await letters('--topic', 'approval.decide')).toEqual([])

      const one = ['redrive', '--topic', TOPIC, '--offset', '0:1']
      expect(await run(...one)).toMatchObject({ exit: 0, out: '1 sent back\n' })
      expect((await admin.pending()).map(({ id }) => id)).toEqual([sent[1]?.key])
      expect((await letters()).map(({ offset }) => offset)).toEqual([0, 2])
      const again = await run(...one)
      expect(again).toMatchObject({ exit: 1, out: '' })
      expect(again.err).toContain('0:1')

      expect(await run('redrive', '--all')).toMatchObject({ exit: 0, out: '2 sent back\n' })
      expect(await run('redrive', '--all')).toMatchObject({ exit: 0, out: '0 sent back\n' })
      expect(await letters()).toEqual([])
      expect((await admin.pending(3)).map(({ id }) => id).sort()).toEqual(sent.map(({ key }) => key).sort())
      const back = await log.read([TOPIC])
      expect(back.map(({ key }) => key).sort()).toEqual(sent.map(({ key }) => key).sort())
      expect(back.map(({ headers }) => Object.keys(headers).filter((name) => name.startsWith('dlq_')))).toEqual(
        Array(3).fill(['dlq_attempts']),
      )
    })

    test('topics that are not there are a wrong prefix: exit 2', async () => {
      const { env, folder } = engineRoom(engines)
      const { run } = commandIn(folder(), env)
      for (const args of [['list'], ['redrive', '--all']]) {
        const { exit, err } = await run(...args)
        expect([args, exit]).toEqual([args, 2])
        expect(err).toContain('topics.prefix')
      }
    })
  })
})

test('of a data directory they are listed, beside the server that runs; sending back is exit 2', async () => {
  const world = await startWorld()
  const { run, letters, lettersThat } = commandIn(world.dataDir)
  const data = ['--data', world.dataDir]
  expect(await letters(...data)).toEqual([])
  await world.stop()
  const db = openDatabase(join(world.dataDir, 'countersign.db'), MAIN_SCHEMA)
  db.prepare(
    "INSERT INTO log (topic, key, event_id, at, value, headers) VALUES (?, 'apr_1', 'e1', 0, x'fffe', '{}')",
  ).run(TOPIC)
  db.close()
  await world.restart()
  const [letter] = await lettersThat((found) => expect(found).toHaveLength(1), ...data)
  expect(letter).toMatchObject({ topic: TOPIC, key: 'apr_1', eventId: 'e1', consumer: 'decider', attempts: 1 })
  expect(letter?.cause).toMatch(/\S/)
  const refused = await run('redrive', '--all', ...data)
  expect(refused).toMatchObject({ exit: 2, out: '' })
  expect(refused.err).toContain('KAFKA_BROKERS is not set')
})

test('wrong words are exit 2, a Kafka that is away is exit 3', async () => {
  const { dataDir } = await startWorld()
  const away = commandIn(dataDir, { KAFKA_BROKERS: '127.0.0.1:1' })
  expect((await commandIn(dataDir, { KAFKA_BROKERS: 'nowhere' }).run('list')).err).toContain('KAFKA_BROKERS must be')
  for (const [args, said] of [
    [['redrive'], '--all'],
    [['redrive', '--offset', '0:1'], '--topic'],
    [['redrive', '--offset', '1', '--topic', TOPIC], 'partition:offset'],
    [['redrive', '--all', '--offset', '0:1', '--topic', TOPIC], 'cannot be used with'],
    [['list', '--topic', 'approval.nothing'], 'Allowed choices'],
  ] as const) {
    const { exit, err } = await away.run(...args)
    expect([args, exit]).toEqual([args, 2])
    expect(err).toContain(said)
  }
  for (const args of [['list'], ['redrive', '--all']]) {
    const { exit, err } = await away.run(...args)
    expect([args, exit]).toEqual([args, 3])
    expect(err).toContain('127.0.0.1:1')
  }
})
