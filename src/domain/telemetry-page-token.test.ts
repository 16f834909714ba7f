import { describe, expect, test } from 'vitest'
import { decodeTelemetryToken, encodeTelemetryToken } from './telemetry-page-token.ts'

const filter = { organizationId: 'org', endDeviceId: 'device', from: null, to: 5n }
const cursor = { occurredAt: -7n, endDeviceId: 'dev"ice', identity: 'raw_envelopes:1' }

describe('A-5 tokens of pages', () => {
  test('lead back to the place', () => {
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
  ])('are refused for another query: %o', (other) => {
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
  ])('%s is none', (token) => {
    expect(() => decodeTelemetryToken(token, filter)).toThrow('page_token is not a token of this list')
  })

  test('one that is altered, or too long, is none', () => {
    const token = encodeTelemetryToken(filter, cursor)
    expect(() => decodeTelemetryToken(`${token}=`, filter)).toThrow('page_token')
    expect(() => decodeTelemetryToken('A'.repeat(20_000), filter)).toThrow('page_token is too long')
  })
})
