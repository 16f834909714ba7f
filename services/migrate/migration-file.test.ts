import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseMigration, readMigrations, splitStatements } from './migration-file.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-migrations-'))
})
afterEach(() => rm(folder, { recursive: true }))

const GOOD = '-- About it.\n-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n'

describe('E-5: migration files', () => {
  test('have an up and a down part', () => {
    const file = parseMigration('/m/0001_a.sql', GOOD, 'PostgreSQL')
    expect(file).toMatchObject({ name: '0001_a', up: [{ sql: 'SELECT 1', line: 3 }], down: [{ line: 5 }] })
  })

  test('have the same checksum with both kinds of line endings', () => {
    const unix = parseMigration('/m/0001_a.sql', GOOD, 'PostgreSQL')
    const dos = parseMigration('/m/0001_a.sql', GOOD.replaceAll('\n', '\r\n'), 'PostgreSQL')
    expect(dos.checksum).toBe(unix.checksum)
    expect(parseMigration('/m/0001_a.sql', `${GOOD} `, 'PostgreSQL').checksum).not.toBe(unix.checksum)
  })

  test.each([
    ['SELECT 1', "has no part '-- migrate:up'"],
    ['-- migrate:up\n-- migrate:down\nSELECT 1', "has no part '-- migrate:up'"],
    ['-- migrate:up\nSELECT 1', "has no part '-- migrate:down'"],
    ['-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 1', ":3: a second '-- migrate:up'"],
  ])('are rejected with the position of the error: %j', (text, message) => {
    expect(() => parseMigration('/m/0001_a.sql', text, 'PostgreSQL')).toThrow(`/m/0001_a.sql`)
    expect(() => parseMigration('/m/0001_a.sql', text, 'PostgreSQL')).toThrow(message)
  })

  test('are ordered by their numbers', async () => {
    for (const name of ['0002_b.sql', '0001_z.sql', '0010_a.sql']) await writeFile(join(folder, name), GOOD)
    const names = (await readMigrations(folder, 'PostgreSQL')).map(({ name }) => name)
    expect(names).toEqual(['0001_z', '0002_b', '0010_a'])
  })

  test('duplicate numbers, wrong names, an empty and a missing folder are each rejected with one line', async () => {
    await expect(readMigrations(join(folder, 'none'), 'PostgreSQL')).rejects.toThrow(
      'cannot read the migrations folder',
    )
    await expect(readMigrations(folder, 'PostgreSQL')).rejects.toThrow('no migrations')
    await writeFile(join(folder, '0001_a.sql'), GOOD)
    await writeFile(join(folder, '0001_b.sql'), GOOD)
    await expect(readMigrations(folder, 'PostgreSQL')).rejects.toThrow('have the same number')
    await writeFile(join(folder, 'fix.sql'), GOOD)
    await expect(readMigrations(folder, 'PostgreSQL')).rejects.toThrow('fix.sql is not a valid name of a migration')
  })

  test.each([
    ['postgres', 'PostgreSQL'],
    ['clickhouse', 'ClickHouse'],
  ] as const)('%s: the files of this package are numbered without gaps', async (database, dialect) => {
    const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
    const files = await readMigrations(join(root, 'migrations', database), dialect)
    for (const [index, { name }] of files.entries()) expect(Number(name.slice(0, 4))).toBe(index + 1)
  })
})

describe('E-5: the statements of a migration', () => {
  test('are split at semicolons and have line numbers', () => {
    const sql =
      '\n-- first; not a statement\nCREATE TABLE a (\n  x text DEFAULT \';\'\n);\n\nDROP TABLE b ; DROP TABLE "c;"\n'
    expect(splitStatements(sql, 'PostgreSQL', 10)).toEqual([
      { sql: "CREATE TABLE a (\n  x text DEFAULT ';'\n)", line: 12 },
      { sql: 'DROP TABLE b', line: 16 },
      { sql: 'DROP TABLE "c;"', line: 16 },
    ])
  })

  test('keep the body of a function in one piece', () => {
    const body = 'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN 1; END $body$'
    expect(splitStatements(`${body};\nSELECT 1`, 'PostgreSQL')).toEqual([
      { sql: body, line: 1 },
      { sql: 'SELECT 1', line: 2 },
    ])
  })

  test('follow the string syntax of each dialect', () => {
    expect(splitStatements(String.raw`SELECT 'a\';'; SELECT 2`, 'ClickHouse')).toHaveLength(2)
    expect(splitStatements(String.raw`SELECT 'a\'; SELECT 2`, 'PostgreSQL')).toHaveLength(2)
  })

  test('exclude comments and empty statements', () => {
    expect(splitStatements('-- a\n;;/* b */', 'PostgreSQL')).toEqual([])
  })
})
