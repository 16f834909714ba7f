import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from './clickhouse-rig.ts'
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

describe('E-5: migrations of ClickHouse', () => {
  test('an empty database has no migrations and is not changed', async () => {
    expect(await store.applied()).toEqual([])
    expect(await database.rows('SHOW TABLES')).toEqual([])
  })

  test('a recorded migration is listed until it is forgotten, and can be recorded again', async () => {
    expect(await store.execute([CREATE, 'INSERT INTO a VALUES (1)'])).toBeUndefined()
    await store.record('0002_b', 'two')
    await store.record('0001_a', 'one')
    const applied = await store.applied()
    expect(applied).toMatchObject([
      { name: '0001_a', checksum: 'one' },
      { name: '0002_b', checksum: 'two' },
    ])
    expect(Math.abs(Date.now() - (applied[0]?.appliedAt.getTime() ?? 0))).toBeLessThan(60_000)
    await store.forget('0002_b')
    expect((await store.applied()).map(({ name }) => name)).toEqual(['0001_a'])
    await store.record('0002_b', 'again')
    expect((await store.applied()).map(({ checksum }) => checksum)).toEqual(['one', 'again'])
  })

  test('a failing statement is reported with its position and ClickHouse’s message', async () => {
    const failure = await store.execute([CREATE, 'SELECT 1,\n  2\n  FROM nowhere_at_all', CREATE])
    expect(failure).toMatchObject({ index: 1 })
    expect(failure?.message).toMatch(/nowhere_at_all.*\(code 60, UNKNOWN_TABLE\)$/)
    const syntax = await store.execute(['SELECT 1,\n  2\n  FRM x y'])
    expect(syntax).toMatchObject({ index: 0, line: 2 })
    expect(syntax?.message).toContain('SYNTAX_ERROR')
  })

  test('a missing database is created', async () => {
    const name = `${database.options.database}_new`
    const fresh = await ClickHouseMigrationStore.connect({ ...database.options, database: name })
    expect(await fresh.applied()).toEqual([])
    await fresh[Symbol.asyncDispose]()
    await database.clickhouse.client.command({ query: `DROP DATABASE ${name}` })
  })

  test('a wrong password fails immediately with one line', async () => {
    const wrong = ClickHouseMigrationStore.connect({ ...database.options, password: 'wrong' })
    await expect(wrong).rejects.toThrow(/: wrong user or password for ponix; set PONIX_CLICKHOUSE_USERNAME/)
  })
})
