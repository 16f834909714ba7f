import { describe, expect, test } from 'vitest'
import { csvRequest, csvUrl, csvLine } from './csv.ts'

function parsed(path: string) {
  const url = csvUrl(path)
  if (url === null) throw new Error(`${path} is not taken`)
  return csvRequest(url)
}

describe('parsing of the URL of a CSV export', () => {
  test('reads every parameter', () => {
    const query =
      'end_device_id=dev&from=2026-01-02T03:04:05Z&to=2026-01-02T04:04:05.000001%2B01:00&field=a&field=b.c&limit=7'
    expect(parsed(`/v1/organizations/o%2Frg/envelopes.csv?${query}`)).toEqual({
      organizationId: 'o/rg',
      endDeviceId: 'dev',
      from: BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n,
      to: BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1000n + 1n,
      fieldPaths: ['a', 'b.c'],
      withUplink: false,
      withWarnings: false,
      limit: 7,
    })
  })

  test('selects everything without parameters', () => {
    const everything = {
      organizationId: 'org',
      endDeviceId: '',
      from: null,
      to: null,
      fieldPaths: [],
      withUplink: false,
      withWarnings: false,
      limit: null,
    }
    expect(parsed('/v1/organizations/org/envelopes.csv')).toEqual(everything)
  })

  test.each([
    '/',
    '/metrics',
    '/v1/organizations/org',
    '/v1/organizations/a/b/envelopes.csv',
    '//',
    'http://[',
    undefined,
  ])('returns null for %s, which is another URL', (path) => {
    expect(csvUrl(path)).toBeNull()
  })

  test.each([
    [
      'form=1',
      '"form" is not a parameter of this address; the parameters are end_device_id, from, to, field, uplink, warnings, limit',
    ],
    ['from=yesterday', 'from must be a time such as 2026-01-02T03:04:05Z, not "yesterday"'],
    ['from=2026-01-02', 'from must be a time such as 2026-01-02T03:04:05Z, not "2026-01-02"'],
    ['to=2026-02-31T00:00:00Z', 'to must be a time such as 2026-01-02T03:04:05Z, not "2026-02-31T00:00:00Z"'],
    ['to=2026-01-02T00:00:00+01:00', '"2026-01-02T00:00:00 01:00" (in a URL a + is written %2B)'],
    ['from=2026-01-02T00:00:00Z&from=2026-01-02T00:00:00Z', 'from is given 2 times; give it once'],
    ['limit=0', 'limit must be a whole number from 1 to 1000000000, not "0"'],
    ['limit=-1', 'limit must be'],
    ['limit=1e3', 'limit must be'],
    ['limit=99999999999', 'limit must be'],
    ['limit=', 'limit must be'],
    ['limit=1%0A2', 'limit must be a whole number from 1 to 1000000000, not "1\\n2"'],
    [`${'x'.repeat(500)}=1`, `"${'x'.repeat(100)}…" is not a parameter`],
  ])('rejects ?%s in one line that names the parameter', (query, message) => {
    const act = () => parsed(`/v1/organizations/org/envelopes.csv?${query}`)
    expect(act).toThrow(message)
    expect(act).toThrow(/^[^\n]+$/)
  })

  test('rejects an organization that is not percent-encoded', () => {
    expect(() => parsed('/v1/organizations/%E0%A4%A/envelopes.csv')).toThrow(
      'organization_id is not properly percent-encoded',
    )
  })
})

describe('a line of CSV', () => {
  test('ends as RFC 4180 requires, and cells without a value are empty', () => {
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
  ])('has quotes where RFC 4180 requires them: %j', (value, cell) => {
    expect(csvLine([value, 'end'])).toBe(`${cell},end\r\n`)
  })

  test('contains objects and lists as JSON', () => {
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
  ])('contains no text that a spreadsheet would run as a formula: %j', (value, cell) => {
    expect(csvLine([value])).toBe(`${cell}\r\n`)
  })

  test.each(['-9007199254740993', '+49', '-1.5', '12'])(
    'contains the text %s unchanged, because it is a number',
    (value) => {
      expect(csvLine([value])).toBe(`${value}\r\n`)
    },
  )
})
