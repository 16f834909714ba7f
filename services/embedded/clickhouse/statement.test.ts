import { describe, expect, test } from 'vitest'
import { analyseStatement, type InsertWithData, type Query } from './statement.ts'

function query(sql: string): Query {
  const statement = analyseStatement(sql)
  if (statement.kind !== 'query') throw new Error(`${sql} is ${statement.kind}`)
  return statement
}

function insert(sql: string): InsertWithData & { readonly head: string; readonly data: string } {
  const statement = analyseStatement(sql)
  if (statement.kind !== 'insert') throw new Error(`${sql} is ${statement.kind}`)
  return { ...statement, head: sql.slice(0, statement.sourceAt), data: sql.slice(statement.dataAt) }
}

describe('E-2: the analysis of a query', () => {
  test.each([
    ['SELECT 1', true, true],
    ['(SELECT 1)', true, true],
    ['WITH 1 AS x SELECT x', true, true],
    ['WITH 1 AS x INSERT INTO t SELECT x', false, false],
    ['SHOW TABLES', true, false],
    ['SET max_threads = 1', true, false],
    ['CREATE TABLE t (a Int8) ENGINE = Memory', false, false],
    ['INSERT INTO t SELECT 1', false, false],
    ['-- SELECT\nDROP TABLE t', false, false],
  ])('classifies %s: read-only %s, rows %s', (sql, readOnly, select) => {
    expect(query(sql)).toMatchObject({ readOnly, select })
  })

  test.each([
    ['SELECT 1 FORMAT JSON', 'JSON'],
    ['SELECT 1 format CSV;', 'CSV'],
    ['SELECT 1 FORMAT JSONEachRow SETTINGS max_threads = 1', 'JSONEachRow'],
    ['SELECT format FROM t', undefined],
    ['SELECT a AS format FROM t SETTINGS x = 1', undefined],
    ["SELECT 'FORMAT JSON'", undefined],
    ['SELECT * FROM (SELECT 1 FORMAT CSV)', undefined],
  ])('finds that the format of %s is %s', (sql, format) => {
    expect(query(sql).format).toBe(format)
  })

  test.each([[''], ['  -- nothing\n'], [';'], ['/* */;;']])('finds that %j is empty', (sql) => {
    expect(analyseStatement(sql)).toEqual({ kind: 'empty' })
  })

  test('detects two statements and ignores a closing semicolon', () => {
    expect(analyseStatement('SELECT 1; SELECT 2')).toEqual({ kind: 'several', at: 10 })
    expect(analyseStatement("SELECT ';';").kind).toBe('query')
  })

  test.each([
    ['INSERT INTO t FORMAT JSONEachRow\n{"a":1}', 'INSERT INTO t ', 'JSONEachRow', '{"a":1}'],
    ['INSERT INTO t FORMAT RowBinary \n\n\n', 'INSERT INTO t ', 'RowBinary', '\n\n'],
    ['insert into t values (1),(2)', 'insert into t ', 'Values', ' (1),(2)'],
    ['INSERT INTO TABLE db.`t;` (a, `format`) FORMAT CSV\r\n1', 'INSERT INTO TABLE db.`t;` (a, `format`) ', 'CSV', '1'],
    ['INSERT INTO format FORMAT TSV\n1', 'INSERT INTO format ', 'TSV', '1'],
    ['INSERT INTO {t:Identifier} (a) SETTINGS x = 1 FORMAT TSV\n1', 'INSERT INTO {t:Identifier} (a) ', 'TSV', '1'],
    ["INSERT INTO FUNCTION file('x') FORMAT TSV\n1", "INSERT INTO FUNCTION file('x') ", 'TSV', '1'],
  ])('finds that %j has data', (sql, head, format, data) => {
    expect(insert(sql)).toMatchObject({ head, format, data })
  })

  test('does not read the data of an insert', () => {
    expect(insert("INSERT INTO t FORMAT CSV\n'; DROP TABLE t\n").data).toBe("'; DROP TABLE t\n")
  })
})
