import { startKafka } from '../test/support/backends/kafka.ts'
import { startMongo } from '../test/support/backends/mongo.ts'
import { compare, type Plan } from './comparison.ts'
import { PARTITIONS, startCountersignFleet, startFloorFleet } from './fleet-target.ts'
import { machine } from './machine.ts'
import { report } from './report.ts'

const PLAN: Plan = { inFlight: [1, 32, 100], rounds: 3, secondsPerRound: 4, warmUpSeconds: 8 }

/**
 * A fleet of three processes over Kafka and MongoDB beside its floor, in one run: full cycles a second and the time from
 * a decision to the resumed call. Its files are in `root`, its engines end with it.
 */
export async function fleet(root: string): Promise<void> {
  const facts = machine(root)
  const mongo = await startMongo()
  const kafka = await startKafka()
  const engines = { kafka: kafka.url, mongo: mongo.url }
  const [countersign, floor] = await Promise.all([startCountersignFleet(root, engines), startFloorFleet(engines)])
  const levels = await compare({ countersign, floor }, PLAN)
  await Promise.all([countersign.close(), floor.close()])
  await Promise.all([kafka.stop(), mongo.stop()])
  const more = { engines: { kafka: kafka.how, mongo: mongo.how, partitions: PARTITIONS } }
  report('fleet', { machine: facts, settings: PLAN, levels, more })
}
