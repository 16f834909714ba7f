import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Uplink } from '../domain/entities.ts'
import { toRowText, toJsonText } from './envelope-text.ts'

const instant = 1_767_323_045_000_006n
const envelope = { organizationId: 'org', endDeviceId: 'dev"ice', occurredAt: instant, processedAt: instant, data: {} }

describe('W-5: the text of a row', () => {
  test('is one line of JSON with microseconds', () => {
    expect(toRowText({ envelope: { ...envelope, data: { t: 25 } }, envelopeId: 'raw_envelopes:7' })).toBe(
      '{"organization_id":"org","end_device_id":"dev\\"ice","occurred_at":"2026-01-02 03:04:05.000006",' +
        '"processed_at":"2026-01-02 03:04:05.000006","identity":"raw_envelopes:7","data":{"t":25.0}}\n',
    )
  })

  test('contains the properties of an uplink that are present', () => {
    const tail = (uplink: Uplink) =>
      toRowText({ envelope: { ...envelope, uplink }, envelopeId: 'x' }).split('"data":')[1]
    expect(tail({ fPort: 0, fCnt: 7, metadata: { rssi: -113 } })).toBe(
      '{},"f_port":0,"f_cnt":7,"metadata":{"rssi":-113.0}}\n',
    )
    expect(tail({ fCnt: 7 })).toBe('{},"f_cnt":7}\n')
    expect(() => tail({ metadata: { 'a.b': 1, a: { b: 2 } } })).toThrow('metadata has two values at the path a.b')
  })

  test.each([
    ['before 1900', BigInt(Date.UTC(1899, 11, 31)) * 1000n],
    ['after 2299', BigInt(Date.UTC(2300, 0, 1)) * 1000n],
    ['beyond any calendar', 10n ** 30n],
  ])('cannot contain a time %s', (_when, occurredAt) => {
    expect(() => toRowText({ envelope: { ...envelope, occurredAt }, envelopeId: 'x' })).toThrow(
      /^occurred_at is outside/,
    )
  })
})

const double = fc.double({ noNaN: true, noDefaultInfinity: true })

describe('W-5: JSON with floating-point numbers', () => {
  test.each([
    [25, '25.0'],
    [-7, '-7.0'],
    [0, '0.0'],
    [-0, '-0.0'],
    [25.5, '25.5'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
    [123456789012345680000, '123456789012345680000.0'],
  ])('writes %d as %s', (value, text) => {
    expect(toJsonText(value)).toBe(text)
  })

  test('writes every number with a fraction or an exponent and without loss', () => {
    fc.assert(
      fc.property(double, (value) => {
        const text = toJsonText(value)
        expect(text).toMatch(/[.e]/)
        expect(JSON.parse(text)).toBe(value)
      }),
    )
  })

  test('writes all other values as JSON.stringify does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(toJsonText(JSON.parse(JSON.stringify(value))))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
    expect(toJsonText({ 'a.b': 1, '': [], x: {}, y: [null, true, '2024-01-01'] })).toBe(
      '{"a.b":1.0,"":[],"x":{},"y":[null,true,"2024-01-01"]}',
    )
  })

  test.each([[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]])('rejects %d', (value) => {
    expect(() => toJsonText({ deep: [value] })).toThrow('is not a JSON number')
  })
})
