import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { withClient } from '../../test/rig/adapters/test-schema.ts'
import { MigrateRig } from '../../test/rig/services/migrate-rig.ts'

let rig: MigrateRig
beforeEach(async () => {
  rig = await MigrateRig.create(inject('postgres'))
})
afterEach(() => rig[Symbol.asyncDispose]())

async function tables(): Promise<string[]> {
  const rows = await rig.rows<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'ponix_migrations' ORDER BY 1",
  )
  return rows.map(({ name }) => name)
}

async function states(): Promise<string[]> {
  const { stdout } = await rig.run('status', '--json')
  const rows: { name: string; state: string; server: string }[] = JSON.parse(stdout)
  return rows.map(({ name, state }) => `${name} ${state}`)
}

describe('E-5: ponix-migrate', () => {
  test('applies pending migrations once and in order, reverts the newest, and shows the state of each', async () => {
    await rig.file('0002_second', 'CREATE TABLE second (x int REFERENCES first)', 'DROP TABLE second')
    await rig.file('0001_first', 'CREATE TABLE first (x int PRIMARY KEY)', 'DROP TABLE first')
    expect(await states()).toEqual(['0001_first pending', '0002_second pending'])
    expect(await rig.run('up')).toMatchObject({ code: 0, stderr: '' })
    expect(await tables()).toEqual(['first', 'second'])
    await rig.file('0003_third', 'CREATE TABLE third (x int)', 'DROP TABLE third')
    expect(await rig.run('up')).toMatchObject({ code: 0 })
    expect(await states()).toEqual(['0001_first applied', '0002_second applied', '0003_third applied'])
    expect(await rig.run('down')).toMatchObject({ code: 0 })
    expect(await rig.run('down')).toMatchObject({ code: 0 })
    expect(await tables()).toEqual(['first'])
    const { stdout } = await rig.run('status')
    expect(stdout).toMatch(/^PostgreSQL {2}applied {2}\d{4}-.*Z {2}0001_first\nPostgreSQL {2}pending .* 0002_second\n/)
  })

  test('applies each migration once when several instances run at the same time', async () => {
    await rig.file('0001_slow', 'CREATE TABLE slow (x int); SELECT pg_sleep(0.3); INSERT INTO slow VALUES (1)')
    await rig.file('0002_more', 'INSERT INTO slow VALUES (2)')
    const runs = await Promise.all(Array.from({ length: 5 }, () => rig.run('up')))
    expect(runs.map(({ code, stderr }) => `${code}${stderr}`)).toEqual(['0', '0', '0', '0', '0'])
    expect(await rig.rows('SELECT x FROM slow ORDER BY x')).toEqual([{ x: 1 }, { x: 2 }])
    expect(runs.filter(({ stdout }) => stdout.includes('applied 0001_slow'))).toHaveLength(1)
  })

  test('reports file, line and message of a failing statement and keeps nothing of its file', async () => {
    await rig.file('0001_good', 'CREATE TABLE good (x int)')
    await rig.file('0002_bad', 'CREATE TABLE half (x int);\n\nSELECT 1,\n  nonsense')
    await rig.file('0003_after', 'CREATE TABLE after (x int)')
    const { code, stderr } = await rig.run('up')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `ponix-migrate: ${join(rig.folder, '0002_bad.sql')}:5: PostgreSQL: column "nonsense" does not exist (SQLSTATE 42703)\n`,
    })
    expect(await tables()).toEqual(['good'])
    expect(await states()).toEqual(['0001_good applied', '0002_bad pending', '0003_after pending'])
    await rig.file('0002_bad', 'CREATE TABLE half (x int)')
    expect(await rig.run('up')).toMatchObject({ code: 0 })
    expect(await tables()).toEqual(['after', 'good', 'half'])
  })

  test('reports the first line of a statement that fails while it runs', async () => {
    await rig.file('0001_bad', "SELECT 'é';\nSELECT 1 / 0")
    const { stderr } = await rig.run('up')
    expect(stderr).toContain('0001_bad.sql:3: PostgreSQL: division by zero (SQLSTATE 22012)\n')
  })

  test('reports a file that was changed after it was applied, and applies nothing', async () => {
    await rig.file('0001_a', 'CREATE TABLE a (x int)')
    await rig.run('up')
    await rig.file('0001_a', 'CREATE TABLE a (x bigint)')
    await rig.file('0002_b', 'CREATE TABLE b (x int)')
    const { code, stderr } = await rig.run('up')
    expect(code).toBe(1)
    expect(stderr).toMatch(/0001_a\.sql was changed after PostgreSQL applied it \(.*Z\): restore it .* new migration/)
    expect(await tables()).toEqual(['a'])
    expect(await states()).toEqual(['0001_a changed', '0002_b pending'])
  })

  test('accepts a migration of a newer version but does not revert it', async () => {
    await rig.file('0001_a', 'CREATE TABLE a (x int)')
    await rig.run('up')
    await rig.rows("INSERT INTO ponix_migrations (name, checksum) VALUES ('0009_newer', 'x')")
    const up = await rig.run('up')
    expect(up).toMatchObject({ code: 0 })
    expect(up.stdout).toContain('PostgreSQL has 0009_newer, which is unknown to this version')
    expect(await states()).toEqual(['0001_a applied', '0009_newer missing'])
    const down = await rig.run('down')
    expect(down.code).toBe(1)
    expect(down.stderr).toMatch(
      /0009_newer cannot be reverted, because .* has no file 0009_newer\.sql; use the version that applied it\n$/,
    )
  })

  test('keeps nothing of a file whose connection is lost, and the next run is not blocked', async () => {
    await rig.file('0001_a', 'CREATE TABLE a (x int); SELECT pg_sleep(60)')
    const running = rig.run('up')
    const sleeping =
      "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND datname = current_database()"
    await expect.poll(() => rig.rows(sleeping), { interval: 20, timeout: 10_000 }).toHaveLength(1)
    const [backend] = await rig.rows<{ pid: number }>(sleeping)
    await withClient(rig.server, (client) => client.query('SELECT pg_terminate_backend($1)', [backend?.pid]))
    expect((await running).code).toBe(1)
    expect(await tables()).toEqual([])
    await rig.file('0001_a', 'CREATE TABLE a (x int)')
    expect(await rig.run('up')).toMatchObject({ code: 0 })
    expect(await tables()).toEqual(['a'])
  })

  test('rejects an unknown command, an unknown flag and an empty folder', async () => {
    expect(await rig.run('sideways')).toMatchObject({ code: 2 })
    expect(await rig.run('up', '--nonsense')).toMatchObject({ code: 2 })
    const empty = await rig.run('up')
    expect(empty).toMatchObject({ code: 1 })
    expect(empty.stderr).toBe(`ponix-migrate: no migrations (0001_name.sql) in ${rig.folder}\n`)
  })
})
