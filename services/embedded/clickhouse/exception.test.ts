import { describe, expect, test } from 'vitest'
import { ClickHouseException, httpStatusOf, toException } from './exception.ts'

describe('E-2: the parser of ClickHouse exceptions', () => {
  test('parses the engine’s message and formats it with the version', () => {
    const exception = toException(new Error('Code: 60. DB::Exception: Table x (y) does not exist. (UNKNOWN_TABLE)'))
    expect(exception).toMatchObject({ code: 60, codeName: 'UNKNOWN_TABLE', message: 'Table x (y) does not exist.' })
    expect(exception.toText('26.7')).toBe(
      'Code: 60. DB::Exception: Table x (y) does not exist. (UNKNOWN_TABLE) (version 26.7 (embedded))\n',
    )
  })

  test('unwraps a nested exception', () => {
    const nested = 'Code: 108. DB::Exception: No data to insert. (NO_DATA) (version 26.7.2.1). (NO_DATA)'
    expect(toException(new Error(`Code: 108. DB::Exception: ${nested.slice(25)}`)).codeName).toBe('NO_DATA')
    expect(toException(new Error(`Code: 108. DB::Exception: ${nested}`)).message).toBe('No data to insert.')
  })

  test('maps system errors to ClickHouse’s codes', () => {
    expect(toException(Object.assign(new Error('disk'), { code: 'ENOSPC' })).codeName).toBe('NOT_ENOUGH_SPACE')
    expect(toException(Object.assign(new Error('gzip'), { code: 'Z_DATA_ERROR' })).codeName).toBe('ZLIB_INFLATE_FAILED')
    expect(toException('odd').code).toBe(1002)
  })

  test.each([
    [62, 400],
    [60, 404],
    [516, 403],
    [48, 501],
    [159, 408],
    [241, 500],
  ])('maps code %d to status %d', (code, status) => {
    expect(httpStatusOf(new ClickHouseException(code, 'X', 'x').code)).toBe(status)
  })
})
