import { ClickHouseError } from '@clickhouse/client'
import { describe, expect, test } from 'vitest'
import { classifyInsertError, rejectionReason } from './insert-error.ts'

function failure(type: string, message = 'No'): ClickHouseError {
  return new ClickHouseError({ message, code: '1', type })
}

describe('P-10: classification of insert errors', () => {
  test.each([['INCORRECT_DATA'], ['CANNOT_PARSE_TEXT'], ['CANNOT_PARSE_INPUT_ASSERTION_FAILED'], ['TYPE_MISMATCH']])(
    '%s is caused by rows',
    (type) => expect(classifyInsertError(failure(type))).toBe('rows'),
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
  ])('%s is caused by the server', (type) => expect(classifyInsertError(failure(type))).toBe('server'))

  test('TOO_MANY_PARTS is caused by rows for too many partitions, else by the server', () => {
    const partitions = 'Too many partitions for single INSERT block (more than 100)'
    expect(classifyInsertError(failure('TOO_MANY_PARTS', partitions))).toBe('rows')
    expect(classifyInsertError(failure('TOO_MANY_PARTS', 'Too many parts (3000). Merges are processing slower'))).toBe(
      'server',
    )
  })

  test('other errors are caused by the server, unknown exceptions are unknown', () => {
    expect(classifyInsertError(new Error('connect ECONNREFUSED'))).toBe('server')
    expect(classifyInsertError(failure('BRAND_NEW'))).toBe('unknown')
  })

  test.each([
    new RangeError('Invalid string length'),
    new TypeError('x is not a function'),
    new SyntaxError('Unexpected token'),
    Object.assign(new Error('Cannot create a string longer than 0x1fffffe8 characters'), {
      code: 'ERR_STRING_TOO_LONG',
    }),
  ])('B-2: %s is an error of this program', (error) => expect(classifyInsertError(error)).toBe('internal'))

  test('the reason is one line without the row number in the batch', () => {
    const message = 'Cannot parse JSON object here:\n {"a":NaN}: (at row 1)\n: While executing ParallelParsing. '
    expect(rejectionReason(failure('INCORRECT_DATA', message))).toBe(
      'Cannot parse JSON object here: {"a":NaN} (INCORRECT_DATA)',
    )
  })
})
