import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { connectClickHouse, type ClickHouse, type ClickHouseOptions } from '../../../src/clickhouse/connection.ts'
import { projectRoot } from '../program.ts'

/** A database for one test file. */
export interface TestDatabase extends AsyncDisposable {
  readonly clickhouse: ClickHouse
  readonly options: ClickHouseOptions
  rows<T>(query: string): Promise<T[]>
  /** Applies the migrations without ponix-migrate. */
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
  const shared = { url, username, password, name: 'test', startupTimeoutMs: 10_000 }
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
      const folder = join(projectRoot, 'migrations/clickhouse')
      for (const name of (await readdir(folder)).toSorted()) {
        const text = await readFile(join(folder, name), 'utf8')
        const [, up = ''] = text.split(/^-- migrate:(?:up|down)$/m)
        for (const query of up.split(/;\n\n?/).filter((part) => part.trim() !== '')) {
          await clickhouse.client.command({ query })
        }
      }
    },
    async [Symbol.asyncDispose]() {
      await server.client.command({ query: `DROP DATABASE IF EXISTS ${database} SYNC` })
      await Promise.all([server.close(), clickhouse.close()])
    },
  }
}

/** Counts the inserts that are sent with its `clickhouse`. */
export class InsertCounter {
  readonly clickhouse: ClickHouse
  inserts = 0

  constructor(clickhouse: ClickHouse) {
    const { client } = clickhouse
    const exec: typeof client.exec = (parameters: Parameters<typeof client.exec>[0]) => {
      this.inserts += 1
      return client.exec(parameters)
    }
    const get = (target: typeof client, name: string | symbol): unknown => {
      const value: unknown = name === 'exec' ? exec : Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    }
    this.clickhouse = { ...clickhouse, client: new Proxy(client, { get }) }
  }
}

interface HttpResult {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Registers hooks: a database per test file with the tables `bytes` and `pairs`, used through ClickHouse's HTTP interface. */
export function clickhouseHttp(theme: string) {
  const { url, username, password } = inject('clickhouse')
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const database = `http_${theme}_${process.pid}`

  /** Sends a POST with a body and URL parameters to the test database. */
  const ask = async (
    body: string | Uint8Array<ArrayBuffer>,
    parameters: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<HttpResult> => {
    const search = new URLSearchParams({ database, ...parameters })
    const response = await fetch(`${url}/?${search.toString()}`, {
      method: 'POST',
      body,
      headers: { authorization, ...headers },
    })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  const get = async (path: string, headers: Record<string, string> = { authorization }): Promise<HttpResult> => {
    const response = await fetch(`${url}${path}`, { headers })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }

  /** Returns the response text of a successful query. */
  const sure = async (body: string, parameters: Record<string, string> = {}): Promise<string> => {
    const { status, text } = await ask(body, parameters)
    expect({ status, text }).toMatchObject({ status: 200 })
    return text
  }

  beforeAll(async () => {
    await ask(`CREATE DATABASE ${database}`, { database: 'default' })
    await sure('CREATE TABLE bytes (b UInt8) ENGINE = Memory')
    await sure('CREATE TABLE pairs (a UInt64, s String) ENGINE = MergeTree ORDER BY a')
  })
  afterAll(() => ask(`DROP DATABASE ${database} SYNC`, { database: 'default' }))

  return { url, username, password, authorization, database, ask, get, sure }
}
