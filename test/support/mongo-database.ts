import { randomUUID } from 'node:crypto'
import { MongoClient } from 'mongodb'
import { connectMongo, type MongoConnection } from '../../lib/adapters/mongo/connection.ts'
import type { Backend } from './backends/backend.ts'

/** A database of its own on a server that others use too. */
export interface MongoDatabase {
  /** Connection string that names this database. */
  url: string
  /**
   * A connection with a client of its own, as another process has it; closed with `remove` at the latest. `through` is
   * another way to the same database.
   */
  connect(through?: string): Promise<MongoConnection>
  /** Drops the database, and closes what is connected. */
  remove(): Promise<void>
}

export function mongoDatabase({ url: server }: Backend): MongoDatabase {
  const [, start, options = ''] = /^(\w+:\/\/[^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(server) ?? []
  const url = `${start}/countersign-${randomUUID()}${options}`
  const connections: MongoConnection[] = []

  async function connect(through = url): Promise<MongoConnection> {
    const connection = await connectMongo({ url: through })
    connections.push(connection)
    return connection
  }

  return {
    url,
    connect,
    async remove() {
      const client = new MongoClient(url)
      await client.db().dropDatabase()
      await client.close()
      await Promise.all(connections.map((connection) => connection.close()))
    },
  }
}
