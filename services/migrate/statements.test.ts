import { describe, expect, test } from 'vitest'
import { CLICKHOUSE_SQL, POSTGRES_SQL } from '../../src/clickhouse/sql-tokens.ts'
import { splitStatements } from './migration-file.ts'

describe('E-5: the statements of a migration', () => {
  test('are split at semicolons and know their lines', () => {
    const sql =
      '\n-- first; not a statement\nCREATE TABLE a (\n  x text DEFAULT \';\'\n);\n\nDROP TABLE b ; DROP TABLE "c;"\n'
    expect(splitStatements(sql, POSTGRES_SQL, 10)).toEqual([
      { sql: "CREATE TABLE a (\n  x text DEFAULT ';'\n)", line: 12 },
      { sql: 'DROP TABLE b', line: 16 },
      { sql: 'DROP TABLE "c;"', line: 16 },
    ])
  })

  test('a function’s body is one piece', () => {
    const body = 'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN; RETURN 1; END $body$'
    expect(splitStatements(`${body};\nSELECT 1`, POSTGRES_SQL)).toEqual([
      { sql: body, line: 1 },
      { sql: 'SELECT 1', line: 2 },
    ])
  })

  test('each dialect has its own strings', () => {
    expect(splitStatements(String.raw`SELECT 'a\';'; SELECT 2`, CLICKHOUSE_SQL)).toHaveLength(2)
    expect(splitStatements(String.raw`SELECT 'a\'; SELECT 2`, POSTGRES_SQL)).toHaveLength(2)
  })

  test('nothing but comments and semicolons is no statement', () => {
    expect(splitStatements('-- a\n;;/* b */', POSTGRES_SQL)).toEqual([])
  })
})
