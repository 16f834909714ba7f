import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CLICKHOUSE_SQL, POSTGRES_SQL } from '../../src/clickhouse/sql-tokens.ts'
import { parseMigration, readMigrations } from './migration-file.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ponix-migrations-'))
})
afterEach(() => rm(folder, { recursive: true }))

const GOOD = '-- About it.\n-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n'

describe('E-5: files of migrations', () => {
  test('have an up and a down part', () => {
    const file = parseMigration('/m/0001_a.sql', GOOD, POSTGRES_SQL)
    expect(file).toMatchObject({ name: '0001_a', up: [{ sql: 'SELECT 1', line: 3 }], down: [{ line: 5 }] })
  })

  test('line ends make no difference to whether a file was changed', () => {
    const unix = parseMigration('/m/0001_a.sql', GOOD, POSTGRES_SQL)
    const dos = parseMigration('/m/0001_a.sql', GOOD.replaceAll('\n', '\r\n'), POSTGRES_SQL)
    expect(dos.checksum).toBe(unix.checksum)
    expect(parseMigration('/m/0001_a.sql', `${GOOD} `, POSTGRES_SQL).checksum).not.toBe(unix.checksum)
  })

  test.each([
    ['SELECT 1', "has no part '-- migrate:up'"],
    ['-- migrate:up\n-- migrate:down\nSELECT 1', "has no part '-- migrate:up'"],
    ['-- migrate:up\nSELECT 1', "has no part '-- migrate:down'"],
    ['-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 1', ":3: there is a second '-- migrate:up'"],
  ])('%j is refused', (text, message) => {
    expect(() => parseMigration('/m/0001_a.sql', text, POSTGRES_SQL)).toThrow(`/m/0001_a.sql`)
    expect(() => parseMigration('/m/0001_a.sql', text, POSTGRES_SQL)).toThrow(message)
  })

  test('are read in the order of their numbers', async () => {
    for (const name of ['0002_b.sql', '0001_z.sql', '0010_a.sql']) await writeFile(join(folder, name), GOOD)
    const names = (await readMigrations(folder, POSTGRES_SQL)).map(({ name }) => name)
    expect(names).toEqual(['0001_z', '0002_b', '0010_a'])
  })

  test('a number given twice, a strange name, an empty and a missing folder are each one clear line', async () => {
    await expect(readMigrations(join(folder, 'none'), POSTGRES_SQL)).rejects.toThrow('cannot read the folder')
    await expect(readMigrations(folder, POSTGRES_SQL)).rejects.toThrow('there are no migrations')
    await writeFile(join(folder, '0001_a.sql'), GOOD)
    await writeFile(join(folder, '0001_b.sql'), GOOD)
    await expect(readMigrations(folder, POSTGRES_SQL)).rejects.toThrow('have the same number')
    await writeFile(join(folder, 'fix.sql'), GOOD)
    await expect(readMigrations(folder, POSTGRES_SQL)).rejects.toThrow('fix.sql is not named like a migration')
  })

  test.each([
    ['postgres', POSTGRES_SQL],
    ['clickhouse', CLICKHOUSE_SQL],
  ])('our own for %s are in order', async (database, dialect) => {
    const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
    const files = await readMigrations(join(root, 'migrations', database), dialect)
    for (const [index, { name }] of files.entries()) expect(Number(name.slice(0, 4))).toBe(index + 1)
  })
})
