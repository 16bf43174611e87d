import type { Topic } from '../../core/events.ts'
import { type DeadLetter, letterOf, notedIn, noteOf, originalOf } from './dead-letter.ts'
import { type DeadLetterOptions, type Pass, withDeadLetters } from './dead-letter-reader.ts'
import { createPublisher } from './publisher.ts'
import { withRedriveLock } from './redrive-lock.ts'
import { topicNames } from './topics.ts'

/** Those that were not sent back yet, the oldest first. */
export function listDeadLetters(
  options: DeadLetterOptions,
  { topics, limit }: { topics: readonly Topic[]; limit: number },
): Promise<DeadLetter[]> {
  return withDeadLetters(options, topics, async (pass) => {
    const sentBack = await readNotes(pass)
    const oldest = new Map<string, DeadLetter[]>()
    await pass((topic, partition, messages) => {
      const place = `${topic}/${partition}`
      const letters = oldest.get(place) ?? []
      oldest.set(place, letters)
      for (const message of messages)
        if (letters.length < limit && isLetter(message) && !sentBack.get(place)?.has(Number(message.offset)))
          letters.push(letterOf(topic, partition, message))
    })
    return [...oldest.values()]
      .flat()
      .sort((a, b) => a.at - b.at)
      .slice(0, limit)
  })
}

/**
 * Puts them on their topic again, as they came, and notes that behind them on the dead letter topic, for as long as they
 * lie there: every group gets them, and who handled them knows them by their id. Resolves with how many; `only` is one
 * place. Interrupted between the two, or when Kafka did not say that it has them, the next call sends these again.
 * Rejects with RedriveInProgressError, having sent nothing, while another process does the same.
 */
export function redriveDeadLetters(
  options: DeadLetterOptions,
  { topics, only }: { topics: readonly Topic[]; only?: { partition: number; offset: number } },
): Promise<number> {
  const { clock, logger } = options
  const names = topicNames(options.topicPrefix)
  const isAsked = (partition: number, offset: number) =>
    only === undefined || (only.partition === partition && only.offset === offset)

  return withRedriveLock(options, topics.map(names.deadLetters), () =>
    withDeadLetters(options, topics, async (pass) => {
      const sentBack = await readNotes(pass)
      const publisher = createPublisher({ connection: options, clock, logger })
      let count = 0
      try {
        await pass(async (topic, partition, messages) => {
          const known = sentBack.get(`${topic}/${partition}`)
          const letters = messages.filter((message) => {
            const offset = Number(message.offset)
            return isLetter(message) && isAsked(partition, offset) && !known?.has(offset)
          })
          if (letters.length === 0) return
          await publisher.send(letters.map((each) => ({ topic: names.kafkaName(topic), ...originalOf(each) })))
          const note = noteOf(letters.map(({ offset }) => Number(offset)))
          await publisher.send([{ topic: names.deadLetters(topic), partition, ...note }])
          count += letters.length
        })
      } finally {
        await publisher.close()
      }
      return count
    }),
  )
}

const isLetter = (message: Parameters<typeof notedIn>[0]): boolean => notedIn(message) === undefined

/** What was sent back, by `<topic>/<partition>`. */
async function readNotes(pass: Pass): Promise<Map<string, Set<number>>> {
  const sentBack = new Map<string, Set<number>>()
  await pass((topic, partition, messages) => {
    for (const offset of messages.flatMap((message) => notedIn(message) ?? [])) {
      const place = `${topic}/${partition}`
      const known = sentBack.get(place)
      if (known) known.add(offset)
      else sentBack.set(place, new Set([offset]))
    }
  })
  return sentBack
}
