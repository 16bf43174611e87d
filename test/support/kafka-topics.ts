import { Kafka, logLevel } from 'kafkajs'

/** Deletes the topics of a test: a cluster that was given to the tests looks afterwards as it did before. */
export async function removeTopics(url: string, prefix: string): Promise<void> {
  const admin = new Kafka({ brokers: url.split(','), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const topics = (await admin.listTopics()).filter((name) => name.startsWith(prefix))
    if (topics.length > 0) await admin.deleteTopics({ topics })
  } finally {
    await admin.disconnect()
  }
}
