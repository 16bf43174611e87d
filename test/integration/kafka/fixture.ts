import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { createKafkaBus, type KafkaBusOptions } from '../../../lib/adapters/kafka/bus.ts'
import type { EventOf } from '../../../lib/core/events.ts'
import type { Bus } from '../../../lib/ports/bus.ts'
import { jsonCodec } from '../../conformance/json-codec.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { requestedEvent } from '../../support/approvals.ts'
import { removeTopics } from '../../support/kafka-topics.ts'

export const REQUESTED = ['approval.requested'] as const

/** A name space of its own on the cluster. With the cluster's `url`, its topics are deleted when the test is over. */
export function freshPrefix(url?: string): string {
  const prefix = `${randomUUID()}.`
  if (url !== undefined) onTestFinished(() => removeTopics(url, prefix))
  return prefix
}

export const optionsFor = (url: string, topicPrefix: string): KafkaBusOptions => ({
  brokers: url.split(','),
  clientId: 'test',
  codec: jsonCodec,
  clock: realClock,
  source: 'test',
  topicPrefix,
  createTopics: { partitions: 3, replicationFactor: 1, retentionMs: 3_600_000 },
})

/** A bus that is closed when the test is over. */
export async function openBus(options: KafkaBusOptions): Promise<Bus> {
  const bus = await createKafkaBus(options)
  onTestFinished(() => bus.close())
  return bus
}

export const requests = (count: number): EventOf<'approval.requested'>[] =>
  Array.from({ length: count }, () => requestedEvent())
