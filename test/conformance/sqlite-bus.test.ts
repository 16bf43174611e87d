import { createLogBus } from '../../lib/adapters/sqlite/log-bus.ts'
import { readLog } from '../../lib/adapters/sqlite/read-log.ts'
import { type BusHarness, runBusConformance } from './bus.suite.ts'
import { jsonCodec } from './json-codec.ts'
import { realClock } from './real-clock.ts'
import { openMainStorage, remove, temporaryDirectory } from './sqlite-storage.ts'

runBusConformance('sqlite', async (): Promise<BusHarness> => {
  const path = temporaryDirectory()
  const open = () => {
    const storage = openMainStorage(path)
    const { db, groupCommit } = storage
    return { ...storage, bus: createLogBus({ db, groupCommit, codec: jsonCodec, clock: realClock, source: 'test' }) }
  }
  let current = open()
  const close = async () => {
    await current.bus.close()
    current.close()
  }

  return {
    bus: current.bus,
    async reopen() {
      await close()
      current = open()
      return current.bus
    },
    async deadLetters(topic) {
      const query = { after: 0, limit: 1_000, topics: [`${topic}.dlq`] }
      return readLog({ db: current.db, codec: jsonCodec }, query).map(({ eventId, headers }) => ({
        eventId,
        cause: headers.dlq_cause ?? '',
      }))
    },
    async appendGarbage(topic, key) {
      current.db
        .prepare('INSERT INTO log (topic, key, event_id, at, value, headers) VALUES (?, ?, ?, ?, ?, ?)')
        .run(topic, key, 'garbage', 0, new Uint8Array([0xff, 0xfe]), '{}')
    },
    async cleanUp() {
      await close()
      remove(path)
    },
  }
})
