import { ClickHouseError } from '@clickhouse/client'
import { describe, expect, test } from 'vitest'
import { blameFor, reasonOf } from './insert-error.ts'

function failure(type: string, message = 'No'): ClickHouseError {
  return new ClickHouseError({ message, code: '1', type })
}

describe('P-10: whose fault a failed insert is', () => {
  test.each([['INCORRECT_DATA'], ['CANNOT_PARSE_TEXT'], ['CANNOT_PARSE_INPUT_ASSERTION_FAILED'], ['TYPE_MISMATCH']])(
    '%s is the rows',
    (type) => expect(blameFor(failure(type))).toBe('rows'),
  )

  test.each([
    ['MEMORY_LIMIT_EXCEEDED'],
    ['NOT_ENOUGH_SPACE'],
    ['UNKNOWN_TABLE'],
    ['AUTHENTICATION_FAILED'],
    ['TOO_MANY_SIMULTANEOUS_QUERIES'],
    ['TABLE_IS_READ_ONLY'],
    ['CANNOT_OPEN_FILE'],
    ['TOO_MANY_PARTS'],
  ])('%s is the server', (type) => expect(blameFor(failure(type))).toBe('server'))

  test('too many months in one insert pass with fewer rows; too many parts pass with time', () => {
    const partitions = 'Too many partitions for single INSERT block (more than 100)'
    expect(blameFor(failure('TOO_MANY_PARTS', partitions))).toBe('rows')
    expect(blameFor(failure('TOO_MANY_PARTS', 'Too many parts (3000). Merges are processing slower'))).toBe('server')
  })

  test('what is no exception of ClickHouse is the server; one nobody knows is neither', () => {
    expect(blameFor(new Error('connect ECONNREFUSED'))).toBe('server')
    expect(blameFor(failure('BRAND_NEW'))).toBe('unknown')
  })

  test('the reason is one line that says what is wrong with the row, without the row number in the batch', () => {
    const message = 'Cannot parse JSON object here:\n {"a":NaN}: (at row 1)\n: While executing ParallelParsing. '
    expect(reasonOf(failure('INCORRECT_DATA', message))).toBe(
      'ClickHouse refuses the row: Cannot parse JSON object here: {"a":NaN} (INCORRECT_DATA)',
    )
  })
})
