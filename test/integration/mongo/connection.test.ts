import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { type Db, MongoClient } from 'mongodb'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createMongoApprovalStore } from '../../../lib/adapters/mongo/approval-store.ts'
import { connectMongo, MongoSetupError } from '../../../lib/adapters/mongo/connection.ts'
import { realClock } from '../../conformance/real-clock.ts'
import { tableRows } from '../../contract/markdown.ts'
import { anApproval } from '../../support/approvals.ts'
import { findBackend, withBackend } from '../../support/backends/backend.ts'
import { freePort } from '../../support/backends/native.ts'
import { mongoDatabase } from '../../support/mongo-database.ts'

describe('a connection to MongoDB', () => {
  it('is refused in time, as something to try again, where nothing listens', async () => {
    const url = `mongodb://user:hunter2@127.0.0.1:${await freePort()}/`
    const refusal = await connectMongo({ url }).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'decider_unavailable' })
    expect(inspect(refusal)).not.toContain('hunter2')
  })

  it('is refused for good when the connection string is none, without repeating it', async () => {
    for (const url of [
      'http://user:hunter2@localhost/',
      'mongodb://user:hunter2@',
      'mongodb://a:hunter2@b/?w=1&nope=2',
    ]) {
      const refusal = await connectMongo({ url }).catch((error: unknown) => error)
      expect(refusal).toBeInstanceOf(MongoSetupError)
      expect(inspect(refusal)).not.toContain('hunter2')
    }
  })
})

await withBackend(
  'connection to MongoDB',
  () => findBackend('mongo'),
  (backend) => {
    describe('a connection to MongoDB that stands', () => {
      it('uses the database that it names, and makes its indexes once', async () => {
        const database = mongoDatabase(backend)
        onTestFinished(() => database.remove())
        const [first, second] = await Promise.all([database.connect(), database.connect()])
        expect(database.url).toContain(first.db.databaseName)
        expect(second.db.databaseName).toBe(first.db.databaseName)
        expect(await indexesOf(first.db)).toEqual(documentedIndexes())
      })

      it('writes durably and reads from the primary, whatever its options say', async () => {
        const database = mongoDatabase(backend)
        onTestFinished(() => database.remove())
        const weak = new URL(database.url)
        for (const option of ['w=1', 'journal=false', 'readPreference=secondary', 'retryWrites=false'])
          weak.searchParams.append(...(option.split('=') as [string, string]))
        const { db } = await database.connect(weak.href)
        const store = createMongoApprovalStore({ db, clock: realClock })
        await db.command({ profile: 2 })
        const record = anApproval()
        await store.insert(record)
        expect(await store.get(record.id)).toEqual(record)
        await db.command({ profile: 0 })
        const [insert] = await db
          .collection('system.profile')
          .find({ op: 'insert', ns: `${db.databaseName}.approvals` }, { readPreference: 'primary' })
          .toArray()
        expect(insert?.command).toMatchObject({ writeConcern: { w: 'majority', j: true } })
        expect(insert?.command).toHaveProperty('txnNumber')
        await store.close()
      })

      it('says why it cannot be used when an index is there in another form', async () => {
        const database = mongoDatabase(backend)
        onTestFinished(() => database.remove())
        const client = new MongoClient(database.url)
        await client.db().collection('keys').createIndex({ hash: 1 }, { name: 'hash' })
        await client.close()
        const refusal = connectMongo({ url: database.url })
        await expect(refusal).rejects.toThrow(MongoSetupError)
        await expect(refusal).rejects.toThrow(/index/)
      })
    })
  },
)

async function indexesOf(db: Db): Promise<string[]> {
  const collections = await db.collections()
  const indexes = await Promise.all(
    collections.map(async (collection) =>
      (await collection.indexes()).map(({ name }) => `${collection.collectionName} ${name}`),
    ),
  )
  return indexes
    .flat()
    .filter((name) => !name.endsWith(' _id_'))
    .sort()
}

function documentedIndexes(): string[] {
  const page = readFileSync(new URL('../../../docs/reference/mongodb.md', import.meta.url), 'utf8')
  return (
    tableRows(page)
      // A collection that is found by its ids alone has no index of its own.
      .filter(([collection, index]) => collection !== 'collection' && index !== '')
      .map(([collection, index]) => `${collection} ${index}`.replaceAll('`', ''))
      .sort()
  )
}
