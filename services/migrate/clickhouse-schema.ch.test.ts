import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { ClickHouseMigrationStore } from '../../src/clickhouse/migration-store.ts'
import { createTestDatabase, type TestDatabase } from '../../test/rig/adapters/clickhouse.ts'
import { projectRoot } from '../../test/rig/program.ts'
import { readMigrations, type SqlStatement } from './migration-file.ts'

let database: TestDatabase
let store: ClickHouseMigrationStore
beforeAll(async () => {
  database = await createTestDatabase(inject('clickhouse'))
  store = await ClickHouseMigrationStore.connect(database.options)
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** Returns the tables and views with their columns. */
async function schema(): Promise<readonly unknown[]> {
  return await database.rows(
    `SELECT table, name, type, default_expression FROM system.columns
      WHERE database = currentDatabase() AND table LIKE 'processed%' ORDER BY table, position`,
  )
}

test('E-5: every migration of ClickHouse can be reverted and applied again, and rows stay', async () => {
  const run = (statements: readonly SqlStatement[], name: string, checksum: string | null) =>
    store.migrate(
      statements.map(({ sql }) => sql),
      { name, checksum },
    )
  const schemas = [await schema()]
  const files = await readMigrations(join(projectRoot, 'migrations/clickhouse'), 'ClickHouse')
  for (const { name, up, down, checksum } of files) {
    expect(await run(up, name, checksum)).toBeUndefined()
    schemas.push(await schema())
    expect(await run(down, name, null)).toBeUndefined()
    expect(await schema()).toEqual(schemas.at(-2))
    expect(await run(up, name, checksum)).toBeUndefined()
    expect(await schema()).toEqual(schemas.at(-1))
  }
  const insert = `INSERT INTO processed_envelope_rows (organization_id, end_device_id, occurred_at, data, identity)
    VALUES ('o1', 'd1', '2026-01-02 03:04:05', '{"a": 1}', 'i')`
  await database.clickhouse.client.command({ query: insert })
  const [first, ...later] = files
  for (const { name, down } of later.toReversed()) expect(await run(down, name, null)).toBeUndefined()
  expect(await schema()).toEqual(schemas[1])
  for (const { name, up, checksum } of later) expect(await run(up, name, checksum)).toBeUndefined()
  expect(await database.rows('SELECT organization_id, f_port FROM processed_envelopes')).toEqual([
    { organization_id: 'o1', f_port: null },
  ])
  expect((await store.applied()).map(({ name }) => name)).toEqual([first, ...later].map((file) => file?.name))
})
