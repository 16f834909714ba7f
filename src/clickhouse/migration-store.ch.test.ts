import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import { ClickHouseMigrationStore } from './migration-store.ts'

let database: TestDatabase
let store: ClickHouseMigrationStore
beforeEach(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  store = await ClickHouseMigrationStore.connect(database.options)
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const CREATE = 'CREATE TABLE a (x UInt8) ENGINE = Memory'

describe('E-5: the migration store of ClickHouse', () => {
  test('finds no migrations in an empty database and does not change it', async () => {
    expect(await store.applied()).toEqual([])
    expect(await database.rows('SHOW TABLES')).toEqual([])
  })

  test('lists an applied migration until it is reverted, and after it is applied again', async () => {
    const second = [CREATE, 'INSERT INTO a VALUES (1)']
    expect(await store.migrate(second, { name: '0002_b', checksum: 'two' })).toBeUndefined()
    await store.migrate([], { name: '0001_a', checksum: 'one' })
    const applied = await store.applied()
    expect(applied).toMatchObject([
      { name: '0001_a', checksum: 'one' },
      { name: '0002_b', checksum: 'two' },
    ])
    expect(Math.abs(Date.now() - (applied[0]?.appliedAt.getTime() ?? 0))).toBeLessThan(60_000)
    await store.migrate(['DROP TABLE a'], { name: '0002_b', checksum: null })
    expect((await store.applied()).map(({ name }) => name)).toEqual(['0001_a'])
    await store.migrate([], { name: '0002_b', checksum: 'again' })
    expect((await store.applied()).map(({ checksum }) => checksum)).toEqual(['one', 'again'])
  })

  test('reports a failing statement with its position and ClickHouse’s message, and records nothing', async () => {
    const change = { name: '0001_a', checksum: 'one' }
    const failure = await store.migrate([CREATE, 'SELECT 1,\n  2\n  FROM nowhere_at_all', CREATE], change)
    expect(failure).toMatchObject({ index: 1 })
    expect(failure?.message).toMatch(/nowhere_at_all.*\(code 60, UNKNOWN_TABLE\)$/)
    const syntax = await store.migrate(['SELECT 1,\n  2\n  FRM x y'], change)
    expect(syntax).toMatchObject({ index: 0, line: 2 })
    expect(syntax?.message).toContain('SYNTAX_ERROR')
    expect(await store.applied()).toEqual([])
  })

  test('creates a missing database', async () => {
    const name = `${database.options.database}_new`
    const fresh = await ClickHouseMigrationStore.connect({ ...database.options, database: name })
    expect(await fresh.applied()).toEqual([])
    await fresh[Symbol.asyncDispose]()
    await database.clickhouse.client.command({ query: `DROP DATABASE ${name}` })
  })

  test('fails immediately with one line on a wrong password', async () => {
    const wrong = ClickHouseMigrationStore.connect({ ...database.options, password: 'wrong' })
    await expect(wrong).rejects.toThrow(/: wrong user or password for ponix; set PONIX_CLICKHOUSE_USERNAME/)
  })
})
