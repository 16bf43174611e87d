import { createInterface } from 'node:readline'
import { createLogBus } from '../../../lib/adapters/sqlite/log-bus.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { openMainStorage } from '../../conformance/sqlite-storage.ts'
import { requestedEvent } from '../../support/approvals.ts'

/** Owns the data directory it is given; once told to go, publishes until it is killed and says what is on disk. */
const storage = openMainStorage(process.argv[2]!)
const { db, groupCommit } = storage
// The lock goes when nobody holds it any more, and that includes the garbage collector.
process.once('exit', () => storage.close())
const bus = createLogBus({ db, groupCommit, codec: jsonCodec, clock: realClock, source: 'publisher' })
process.stdout.write('open\n')

async function publishForEver(): Promise<void> {
  for (;;) {
    const event = requestedEvent()
    await bus.publish([event])
    process.stdout.write(`${event.eventId}\n`)
  }
}

createInterface({ input: process.stdin }).once('line', () => {
  for (let publisher = 0; publisher < 16; publisher++) void publishForEver()
})
