import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Evaluator } from './evaluator.ts'
import type { EnvelopeContext } from '../evaluation.ts'

const payload = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
const evaluator = new Evaluator()

function dataOf(source: string, input = payload): unknown {
  const result = evaluator.evaluate(source, input)
  return result.ok ? result.data : result.reason
}

function reasonOf(source: string, input = payload): string {
  const result = evaluator.evaluate(source, input)
  return result.ok ? `expected a failure, got ${JSON.stringify(result.data)}` : result.reason
}

describe('P-2: the evaluation of payload conversions', () => {
  it('decodes the payload', () => {
    expect(dataOf('cayenne_lpp_decode(input)')).toEqual({ temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 })
  })

  it('builds a map from decoded fields and the payload', () => {
    const source =
      '{"celsius": cayenne_lpp_decode(input).temperature_0, "warm": cayenne_lpp_decode(input)["temperature_0"] > 20, "size": size(input)}'
    expect(dataOf(source)).toEqual({ celsius: 25.5, warm: true, size: 11 })
  })

  it('selects a component of a vector', () => {
    const gps = Uint8Array.from(Buffer.from('018806765FF2960A0003E8', 'hex'))
    expect(dataOf('{"lat": cayenne_lpp_decode(input).gps_1.latitude}', gps)).toEqual({ lat: 42.3519 })
  })

  it('decodes an empty payload to an empty map', () => {
    expect(dataOf('cayenne_lpp_decode(input)', new Uint8Array())).toEqual({})
  })

  it('converts an integer of seconds to a timestamp', () => {
    expect(dataOf('{"at": timestamp(1700000000)}')).toEqual({ at: '2023-11-14T22:13:20Z' })
    expect(reasonOf('{"at": timestamp(9999999999999)}')).toBe('line 1, column 8: timestamp out of range')
  })

  it('caches the 1000 most recently used programs, at most 64 Ki characters of source', () => {
    const many = new Evaluator()
    for (let index = 0; index < 1100; index++) many.evaluate(`{"n": ${index}}`, payload)
    expect(many.size).toBe(1000)
    const long = new Evaluator()
    for (let index = 0; index < 100; index++) long.evaluate(`{"n": ${index}, "s": "${'x'.repeat(4000)}"}`, payload)
    expect(long.size).toBe(16)
  })

  it('accepts a comment at the end of the source', () => {
    expect(dataOf('{"a": 1} // the end')).toEqual({ a: 1 })
  })
})

describe('P-2: the variables of an uplink', () => {
  const context = {
    receivedAt: 1_767_323_045_000_006n,
    uplink: {
      fPort: 2,
      fCnt: 4_294_967_295,
      metadata: { rssi: -113, gateway_ids: ['a', 'b'], tags: { site: 'roof' } },
    },
  }

  function evaluated(source: string, given?: EnvelopeContext): unknown {
    const result = evaluator.evaluate(source, payload, given)
    return result.ok ? result.data : result.reason
  }

  it.each([
    ['{"port": f_port, "count": f_cnt}', { port: 2, count: 4_294_967_295 }],
    ['f_port == 2 ? {"weak": metadata.rssi < -110} : {}', { weak: true }],
    ['{"all": metadata}', { all: context.uplink.metadata }],
    ['metadata', context.uplink.metadata],
    ['{"first": metadata.gateway_ids[0], "site": metadata["tags"].site}', { first: 'a', site: 'roof' }],
    ['{"at": received_at, "hour": received_at.getHours()}', { at: '2026-01-02T03:04:05.000006Z', hour: 3 }],
  ])('are in %s', (source, data) => {
    expect(evaluated(source, context)).toEqual(data)
  })

  it.each([
    ['{"port": f_port, "count": f_cnt, "metadata": metadata}', { port: 0, count: 0, metadata: {} }],
    ['{"has": has(metadata.rssi)}', { has: false }],
    ['{"rssi": metadata.rssi}', expect.stringContaining('rssi')],
  ])('have defaults in %s without an uplink', (source, data) => {
    expect(evaluated(source, { receivedAt: 0n })).toEqual(data)
    expect(evaluated(source)).toEqual(data)
  })

  it('has the time of receipt before 1970', () => {
    expect(evaluated('{"at": received_at}', { receivedAt: -1n })).toEqual({ at: '1969-12-31T23:59:59.999999Z' })
  })
})

describe('P-4: the conversion of results to JSON', () => {
  it.each([
    ['{"i": 1, "n": -7, "u": 3u}', { i: 1, n: -7, u: 3 }],
    ['{"exact": 9007199254740992, "least": -9007199254740992}', { exact: 2 ** 53, least: -(2 ** 53) }],
    [
      '{"over": 9007199254740993, "under": -9007199254740993}',
      { over: '9007199254740993', under: '-9007199254740993' },
    ],
    ['{"u": 18446744073709551615u}', { u: '18446744073709551615' }],
    ['{"d": 1.5, "zero": 0.0, "tiny": 5e-324}', { d: 1.5, zero: 0, tiny: 5e-324 }],
    ['{"b": b"\\x00\\xff"}', { b: 'AP8=' }],
    ['{"b": b""}', { b: '' }],
    ['{"t": timestamp("2026-01-02T03:04:05.678901Z")}', { t: '2026-01-02T03:04:05.678901Z' }],
    ['{"d": duration("1h1.5s"), "n": duration("-250ms")}', { d: '3601.500s', n: '-0.250s' }],
    ['{1: "a", 2u: "b", true: "c"}', { 1: 'a', 2: 'b', true: 'c' }],
    ['{"date": "2026-01-02", "number": "25"}', { date: '2026-01-02', number: '25' }],
    ['{"null": null, "list": [1, "two", [3.5], {}]}', { null: null, list: [1, 'two', [3.5], {}] }],
    [
      '{"wrapped": google.protobuf.Struct{fields: {"a": google.protobuf.Value{number_value: 2.5}}}}',
      { wrapped: { a: 2.5 } },
    ],
  ])('converts %s', (source, expected) => {
    expect(dataOf(source)).toEqual(expected)
  })

  it.each([
    ['size(input)', 'the result is of type int; expected a map or a list of readings'],
    ['timestamp(0)', 'the result is of type google.protobuf.Timestamp; expected a map or a list of readings'],
    ['[{"data": {"a": 1.0 / 0.0}}]', '[0].data.a is Infinity, which JSON cannot represent'],
    ['{"a": [1.0, 0.0 / 0.0]}', 'a[1] is NaN, which JSON cannot represent'],
    ['{"a": {"b": 1.0 / 0.0}}', 'a.b is Infinity, which JSON cannot represent'],
    ['{"a": -1.0 / 0.0}', 'a is -Infinity, which JSON cannot represent'],
    ['{1: 1, "1": 2}', 'two keys of the map are "1" as text, at 1'],
    ['{"a": int}', 'a is the type int, which has no JSON form'],
    ['{"a": google.protobuf.Timestamp{seconds: 99999999999999}}', 'a is out of range'],
    ['{"a": 1 / 0}', 'int divide by zero'],
    ['{\n  "a": cayenne_lpp_decode(input).missing_1\n}', 'line 2, column 33: field not found: missing_1'],
    ['{"a": 1 + 1.5}', "found no matching overload for '_+_'"],
    ['{"a": 1, "a": 2}', 'map key conflict: a'],
    ['{"a": unknown}', 'line 1, column 7: unknown variable "unknown"; the payload is "input"'],
    ['{"a": string(b"\\xff")}', 'the bytes are not valid UTF-8'],
    ['{"a": 9223372036854775807 + 1}', 'int overflow'],
    ['{"a": "x".matches("(")}', 'line 1, column'],
  ])('rejects %s', (source, reason) => {
    expect(reasonOf(source)).toContain(reason)
  })

  it('converts a list of readings', () => {
    const source = '[0, 60].map(age, {"age_s": age, "data": {"n": age + 1}})'
    expect(dataOf(source)).toEqual([
      { age_s: 0, data: { n: 1 } },
      { age_s: 60, data: { n: 61 } },
    ])
    expect(dataOf('[{"time": timestamp(1700000000), "data": {}}]')).toEqual([
      { time: '2023-11-14T22:13:20Z', data: {} },
    ])
  })

  it('reports the reason for a payload that is not Cayenne LPP', () => {
    expect(reasonOf('cayenne_lpp_decode(input)', Uint8Array.of(1, 200))).toBe(
      'line 1, column 1: Cayenne LPP: unknown type 200 at byte 1',
    )
  })

  it('represents every 64-bit integer exactly, as a number or a string', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const data = dataOf(`{"v": ${value}}`)
        expect(data).toEqual({ v: value > 2n ** 53n || value < -(2n ** 53n) ? String(value) : Number(value) })
      }),
    )
  })

  it('rejects a result nested deeper than 32 levels', () => {
    const source = (levels: number) => '{"a": '.repeat(levels) + '1' + '}'.repeat(levels)
    expect(dataOf(source(32))).toBeTypeOf('object')
    expect(reasonOf(source(33))).toContain('the result is nested deeper than 32 levels')
  })
})

describe('P-3: an expression', () => {
  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'])(
    'treats the name %s of Object.prototype as an ordinary name',
    (name) => {
      expect(reasonOf(`{"a": ${name}}`)).toContain(`unknown variable "${name}"`)
      expect(reasonOf(`{"a": ${name}()}`)).toContain(`unknown function "${name}"`)
      expect(reasonOf(`{"a": {"b": 1}.${name}}`)).toContain(`field not found: ${name}`)
      expect(reasonOf(`{"a": cayenne_lpp_decode(input).${name}}`)).toContain(`field not found: ${name}`)
      expect(dataOf(`{"has": has({"b": 1}.${name})}`)).toEqual({ has: false })
      const result = evaluator.evaluate(`{"${name}": 1, "after": 2}`, payload)
      expect(result.ok && Object.entries(result.data)).toEqual([
        [name, 1],
        ['after', 2],
      ])
      expect({}).not.toHaveProperty('after')
    },
  )
})

describe('P-3: the memory limit of one evaluation', () => {
  const megabyte = new Uint8Array(1024 * 1024).fill(97)

  it('accepts a payload of 1 MiB', () => {
    expect(dataOf('{"size": size(input), "first": string(input).startsWith("aaa")}', megabyte)).toEqual({
      size: 1_048_576,
      first: true,
    })
  })

  it.each([
    '{"size": size(input+input+input+input+input+input+input+input)}',
    '{"sizes": [1,2,3,4,5,6,7,8,9].map(x, [1,2,3,4,5,6,7,8,9].map(y, input + input))}',
    '{"sizes": [1,2,3,4,5,6,7,8,9].map(x, [1,2,3,4,5,6,7,8,9].map(y, string(input)))}',
    '{"sizes": [1,2,3,4,5,6,7,8,9].map(x, [string(input)].map(s, bytes(s)))}',
    '{"text": [string(input)].map(s, s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s)}',
  ])('rejects %s for a payload of 1 MiB', (source) => {
    expect(reasonOf(source, megabyte)).toContain('builds more than 16777216 bytes')
  })

  it('resets the budget for every evaluation', () => {
    for (let round = 0; round < 20; round++)
      expect(dataOf('{"n": size(input + input)}', megabyte)).toEqual({ n: 2 ** 21 })
  })

  it('rejects a result of more than 1 MiB, even if it repeats one string', () => {
    expect(reasonOf('{"a": input}', megabyte)).toBe('the result is larger than 1048576 bytes')
    expect(reasonOf('{"a": [string(input)].map(s, [1,2,3].map(y, s))}', megabyte)).toContain('the result is larger')
  })
})
