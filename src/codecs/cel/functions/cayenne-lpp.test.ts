import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LppError } from '../../../domain/errors.ts'
import { decodeCayenneLpp, LPP_TYPES, type LppValue } from './cayenne-lpp.ts'

/** An encoded value of one type and its expected decoding, derived from the format specification. */
interface Sample {
  readonly id: number
  readonly name: string
  readonly data: readonly number[]
  readonly value: LppValue
}

function bigEndian(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, index) => Math.floor(value / 256 ** (size - 1 - index)) & 0xff)
}

function unsigned(id: number, name: string, size: number, divisor = 1): fc.Arbitrary<Sample> {
  return fc
    .integer({ min: 0, max: 256 ** size - 1 })
    .map((raw) => ({ id, name, data: bigEndian(raw, size), value: raw / divisor }))
}

function signed(id: number, name: string, size: number, divisor = 1): fc.Arbitrary<Sample> {
  const half = 256 ** size / 2
  return fc
    .integer({ min: -half, max: half - 1 })
    .map((raw) => ({ id, name, data: bigEndian(raw, size), value: raw / divisor }))
}

function record(id: number, name: string, parts: Readonly<Record<string, [number, number]>>): fc.Arbitrary<Sample> {
  const fields = Object.entries(parts).map(([key, [size, divisor]]) => signed(0, key, size, divisor))
  return fc.tuple(...fields).map((samples) => ({
    id,
    name,
    data: samples.flatMap((sample) => sample.data),
    value: Object.fromEntries(samples.map((sample) => [sample.name, Number(sample.value)])),
  }))
}

const xyz = (divisor: number): Record<string, [number, number]> => ({
  x: [2, divisor],
  y: [2, divisor],
  z: [2, divisor],
})

const samples: Readonly<Record<string, fc.Arbitrary<Sample>>> = {
  digital_input: unsigned(0, 'digital_input', 1),
  digital_output: unsigned(1, 'digital_output', 1),
  analog_input: signed(2, 'analog_input', 2, 100),
  analog_output: signed(3, 'analog_output', 2, 100),
  generic_sensor: unsigned(100, 'generic_sensor', 4),
  illuminance: unsigned(101, 'illuminance', 2),
  presence: unsigned(102, 'presence', 1),
  temperature: signed(103, 'temperature', 2, 10),
  humidity: unsigned(104, 'humidity', 1, 2),
  accelerometer: record(113, 'accelerometer', xyz(1000)),
  barometer: unsigned(115, 'barometer', 2, 10),
  voltage: unsigned(116, 'voltage', 2, 100),
  current: unsigned(117, 'current', 2, 1000),
  frequency: unsigned(118, 'frequency', 4),
  percentage: unsigned(120, 'percentage', 1),
  altitude: signed(121, 'altitude', 2),
  concentration: unsigned(125, 'concentration', 2),
  power: unsigned(128, 'power', 2),
  distance: unsigned(130, 'distance', 4, 1000),
  energy: unsigned(131, 'energy', 4, 1000),
  direction: unsigned(132, 'direction', 2),
  unix_time: unsigned(133, 'unix_time', 4).map((sample) => ({
    ...sample,
    value: new Date(Number(sample.value) * 1000).toISOString().replace('.000Z', 'Z'),
  })),
  gyrometer: record(134, 'gyrometer', xyz(100)),
  colour: fc.uint8Array({ minLength: 3, maxLength: 3 }).map((rgb) => ({
    id: 135,
    name: 'colour',
    data: [...rgb],
    value: `#${Buffer.from(rgb).toString('hex').toUpperCase()}`,
  })),
  gps: record(136, 'gps', { latitude: [3, 10_000], longitude: [3, 10_000], altitude: [3, 100] }),
  switch: unsigned(142, 'switch', 1).map((sample) => ({ ...sample, value: sample.value !== 0 })),
}

const anyField = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.oneof(...Object.values(samples)))

function encode(fields: readonly (readonly [number, Sample])[]): Uint8Array {
  return Uint8Array.from(fields.flatMap(([channel, sample]) => [channel, sample.id, ...sample.data]))
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

/** Returns the error that decoding throws, or undefined. */
function failure(payload: Uint8Array): unknown {
  try {
    decodeCayenneLpp(payload)
    return undefined
  } catch (error) {
    return error
  }
}

describe('P-5: Cayenne LPP', () => {
  it('decodes the example of a temperature, a humidity and a barometer', () => {
    expect(Object.fromEntries(decodeCayenneLpp(hex('00 67 00FF 01 68 82 02 73 2795')))).toEqual({
      temperature_0: 25.5,
      humidity_1: 65,
      barometer_2: 1013.3,
    })
  })

  it('decodes the short example', () => {
    expect(Object.fromEntries(decodeCayenneLpp(hex('016700FF026864')))).toEqual({ temperature_1: 25.5, humidity_2: 50 })
  })

  it.each([
    ['05 67 FFFF', { temperature_5: -0.1 }],
    ['01 88 06765F F2960A 0003E8', { gps_1: { latitude: 42.3519, longitude: -87.9094, altitude: 10 } }],
    ['06 71 04D2 FB2E 0000', { accelerometer_6: { x: 1.234, y: -1.234, z: 0 } }],
    ['01 85 00000000', { unix_time_1: '1970-01-01T00:00:00Z' }],
    ['01 85 FFFFFFFF', { unix_time_1: '2106-02-07T06:28:15Z' }],
    ['09 87 0A0B0C', { colour_9: '#0A0B0C' }],
    ['FF 8E 00 00 8E 01', { switch_255: false, switch_0: true }],
    ['01 64 FFFFFFFF', { generic_sensor_1: 4_294_967_295 }],
    ['01 00 01 01 00 02', { digital_input_1: 2 }],
  ])('decodes %s', (payload, expected) => {
    expect(Object.fromEntries(decodeCayenneLpp(hex(payload)))).toEqual(expected)
  })

  it('decodes an empty payload to an empty map', () => {
    expect(decodeCayenneLpp(new Uint8Array()).size).toBe(0)
  })

  it('decodes a payload that is a view into a larger buffer', () => {
    const buffer = hex('FFFF 01 67 00FF FFFF')
    expect([...decodeCayenneLpp(buffer.subarray(2, 6))]).toEqual([['temperature_1', 25.5]])
  })

  it.each(Object.entries(samples))('decodes encoded values of type %s', (name, sample) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), sample, (channel, field) => {
        expect([...decodeCayenneLpp(encode([[channel, field]]))]).toEqual([[`${name}_${channel}`, field.value]])
      }),
    )
  })

  it('has a test sample for every supported type', () => {
    const names = [...LPP_TYPES.values()].map((type) => type.name)
    expect(Object.keys(samples)).toEqual(names)
  })

  it('keeps the last field of a duplicate key', () => {
    fc.assert(
      fc.property(fc.array(anyField, { maxLength: 40 }), (fields) => {
        const expected = new Map(fields.map(([channel, sample]) => [`${sample.name}_${channel}`, sample.value]))
        expect(decodeCayenneLpp(encode(fields))).toEqual(expected)
      }),
    )
  })

  it('rejects a payload truncated inside a field', () => {
    fc.assert(
      fc.property(fc.array(anyField, { minLength: 1, maxLength: 5 }), (fields) => {
        const whole = encode(fields)
        const borders = new Set([0])
        for (let count = 1; count < fields.length; count++) borders.add(encode(fields.slice(0, count)).length)
        const decodable = Array.from(whole.keys()).filter((length) => failure(whole.subarray(0, length)) === undefined)
        const refused = Array.from(whole.keys()).filter(
          (length) => failure(whole.subarray(0, length)) instanceof LppError,
        )
        expect(new Set(decodable)).toEqual(borders)
        expect(decodable.length + refused.length).toBe(whole.length)
      }),
    )
  })

  it('rejects every unknown type with its position', () => {
    for (let id = 0; id <= 255; id++) {
      if (LPP_TYPES.has(id)) continue
      const payload = Uint8Array.from([0, 0x67, 0, 0xff, 1, id, ...Array.from({ length: 16 }, () => 0)])
      expect(() => decodeCayenneLpp(payload)).toThrow(`unknown type ${id} at byte 5`)
    }
  })

  it('reports expected and actual size of a truncated field', () => {
    expect(() => decodeCayenneLpp(hex('01 67 00'))).toThrow('temperature at byte 0 needs 2 bytes of data, got 1')
    expect(() => decodeCayenneLpp(hex('01 68 82 02'))).toThrow('the payload ends after the channel at byte 3')
  })

  it('throws only LppError for any input', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => {
        const error = failure(payload)
        expect(error === undefined || error instanceof LppError).toBe(true)
      }),
    )
  })
})
