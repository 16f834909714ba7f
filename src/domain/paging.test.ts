import * as fc from 'fast-check'
import { expect, test, describe } from 'vitest'
import {
  encodePageToken,
  limitPage,
  pageOutput,
  pageRequest,
  decodeTelemetryToken,
  encodeTelemetryToken,
} from './paging.ts'

const INVALID = expect.objectContaining({ code: 'invalid_argument' })

test('A-5 page size 0 means 50, the maximum is 500, and a negative one is rejected', () => {
  expect(pageRequest({ pageSize: 0, pageToken: '' })).toEqual({ size: 50, after: null })
  expect(pageRequest({ pageSize: 500, pageToken: '' }).size).toBe(500)
  expect(pageRequest({ pageSize: 2_000_000, pageToken: '' }).size).toBe(500)
  expect(() => pageRequest({ pageSize: -1, pageToken: '' })).toThrow(INVALID)
})

test('A-5 a page token decodes to its cursor', () => {
  const cursor = fc.record({
    createdAt: fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n }),
    id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((id) => !id.includes('\0')),
  })
  fc.assert(
    fc.property(cursor, (next) => {
      const { nextPageToken } = pageOutput({ items: [], next })
      expect(pageRequest({ pageSize: 1, pageToken: nextPageToken }).after).toEqual(next)
    }),
  )
})

test('A-5 the last page has no token', () => {
  expect(pageOutput({ items: [1], next: null })).toEqual({ items: [1], nextPageToken: '' })
})

const token = encodePageToken({ createdAt: 5n, id: 'abc' })

test.each([
  'x',
  '!!',
  ` ${token}`,
  `${token}=`,
  token.slice(1),
  'A'.repeat(2000),
  encodePageToken({ createdAt: 5n, id: '' }),
  encodePageToken({ createdAt: 5n, id: 'a\0' }),
  Buffer.from('2.5.abc').toString('base64url'),
  Buffer.from('1.05.abc').toString('base64url'),
  Buffer.from('1.9999999999999999999.abc').toString('base64url'),
  Buffer.from([0x31, 0x2e, 0x35, 0x2e, 0xff]).toString('base64url'),
])('A-5 the invalid token %.20s is rejected', (pageToken) => {
  expect(() => pageRequest({ pageSize: 1, pageToken })).toThrow(INVALID)
})

test('A-5 a page too large for a response ends early and continues there', () => {
  const items = [
    { id: 'a', size: 60 },
    { id: 'b', size: 30 },
    { id: 'c', size: 20 },
  ]
  const cut = (maxBytes: number) =>
    limitPage(
      { items, next: null },
      maxBytes,
      (item) => item.size,
      (item) => ({ createdAt: 1n, id: item.id }),
    )
  expect(cut(110)).toEqual({ items, next: null })
  expect(cut(100)).toEqual({ items: items.slice(0, 2), next: { createdAt: 1n, id: 'b' } })
  expect(cut(10)).toEqual({ items: items.slice(0, 1), next: { createdAt: 1n, id: 'a' } })
})

const filter = { organizationId: 'org', endDeviceId: 'device', from: null, to: 5n }
const cursor = { occurredAt: -7n, endDeviceId: 'dev"ice', envelopeId: 'raw_envelopes:1' }

describe('A-5 telemetry page tokens', () => {
  test('decode to their cursor', () => {
    expect(decodeTelemetryToken(encodeTelemetryToken(filter, cursor), filter)).toEqual(cursor)
    const everything = { organizationId: 'ö', endDeviceId: null, from: -1n, to: null }
    expect(decodeTelemetryToken(encodeTelemetryToken(everything, cursor), everything)).toEqual(cursor)
  })

  test.each([
    { ...filter, organizationId: 'other' },
    { ...filter, endDeviceId: null },
    { ...filter, endDeviceId: 'other' },
    { ...filter, from: 0n },
    { ...filter, to: null },
  ])('are rejected for another query: %o', (other) => {
    const token = encodeTelemetryToken(filter, cursor)
    expect(() => decodeTelemetryToken(token, other)).toThrow('page_token belongs to another query')
  })

  const spelled = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  test.each([
    'x',
    'null',
    spelled([1, 'org']),
    spelled([2, 'org', 'device', null, '5', '1', 'd', 'i']),
    spelled([1, 'org', 'device', null, '5', '1; DROP TABLE x', 'd', 'i']),
    spelled([1, 'org', 'device', null, '5', 1, 'd', 'i']),
    spelled({}),
    Buffer.from('1.5.abc').toString('base64url'),
  ])('rejects %s', (token) => {
    expect(() => decodeTelemetryToken(token, filter)).toThrow('page_token is not a token of this list')
  })

  test('rejects an altered and a too long token', () => {
    const token = encodeTelemetryToken(filter, cursor)
    expect(() => decodeTelemetryToken(`${token}=`, filter)).toThrow('page_token')
    expect(() => decodeTelemetryToken('A'.repeat(20_000), filter)).toThrow('page_token is too long')
  })
})
