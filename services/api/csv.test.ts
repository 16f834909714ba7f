import { describe, expect, test } from 'vitest'
import { csvLine } from './csv.ts'

describe('a line of CSV', () => {
  test('ends as RFC 4180 has it, and has nothing where there is no value', () => {
    expect(csvLine(['a', 1.5, true, undefined, null, false, -0.25])).toBe('a,1.5,true,,,false,-0.25\r\n')
  })

  test.each([
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\nlines', '"two\nlines"'],
    ['two\r\nlines', '"two\r\nlines"'],
    [' kept ', ' kept '],
    ['größe 😀', 'größe 😀'],
    ['', ''],
  ])('quotes what needs it: %j', (value, cell) => {
    expect(csvLine([value, 'end'])).toBe(`${cell},end\r\n`)
  })

  test('objects and lists are JSON', () => {
    expect(csvLine([{ x: 1, s: 'a"b' }, [1, 'two']])).toBe('"{""x"":1,""s"":""a\\""b""}","[1,""two""]"\r\n')
  })

  test.each([
    ['=1+1', `'=1+1`],
    [`=HYPERLINK("http://evil","x")`, `"'=HYPERLINK(""http://evil"",""x"")"`],
    ['+cmd', `'+cmd`],
    ['-2+3', `'-2+3`],
    ['@SUM(A1)', `'@SUM(A1)`],
    ['\t=1', `'\t=1`],
    ['\r=1', `"'\r=1"`],
  ])('a text that a spreadsheet would run as a formula is one no more: %j', (value, cell) => {
    expect(csvLine([value])).toBe(`${cell}\r\n`)
  })

  test.each(['-9007199254740993', '+49', '-1.5', '12'])('a text that is the number %s stays as it is', (value) => {
    expect(csvLine([value])).toBe(`${value}\r\n`)
  })
})
