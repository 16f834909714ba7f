import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readFile } from 'node:fs/promises'
import { pino } from 'pino'
import { connectClickHouse, type ClickHouse, type ClickHouseOptions } from './connection.ts'

/** A database of one test file's own, for tests. */
export interface TestDatabase extends AsyncDisposable {
  readonly clickhouse: ClickHouse
  readonly options: ClickHouseOptions
  rows<T>(query: string): Promise<T[]>
  /** Everything from the folder of migrations; our own files, not the program that applies them. */
  migrate(): Promise<void>
}

interface Address {
  readonly url: string
  readonly username: string
  readonly password: string
}

export async function createTestDatabase(address: Address): Promise<TestDatabase> {
  const database = `test_${randomBytes(6).toString('hex')}`
  const { url, username, password } = address
  const shared = { url, username, password, application: 'test', startupTimeoutMs: 10_000 }
  const logger = pino({ level: 'silent' })
  const server = await connectClickHouse({ ...shared, logger, database: 'default' })
  await server.client.command({ query: `CREATE DATABASE ${database}` })
  const options = { ...shared, logger, database }
  const clickhouse = await connectClickHouse(options)
  return {
    clickhouse,
    options,
    async rows<T>(query: string) {
      const result = await clickhouse.client.query({ query, format: 'JSONEachRow' })
      return result.json<T>()
    },
    async migrate() {
      const folder = join(dirname(fileURLToPath(import.meta.url)), '../../migrations/clickhouse')
      const text = await readFile(join(folder, '0001_processed_envelopes.sql'), 'utf8')
      const [, up = ''] = text.split(/^-- migrate:(?:up|down)$/m)
      for (const query of up.split(/;\n\n?/).filter((part) => part.trim() !== '')) {
        await clickhouse.client.command({ query })
      }
    },
    async [Symbol.asyncDispose]() {
      await server.client.command({ query: `DROP DATABASE IF EXISTS ${database} SYNC` })
      await Promise.all([server.close(), clickhouse.close()])
    },
  }
}
