import { describe, expect, it } from 'vitest'
import { createPayloadConversionChecker } from './static-check.ts'

const checker = createPayloadConversionChecker()

function nested(open: string, close: string, levels: number): string {
  return `{"a": ${open.repeat(levels)}1${close.repeat(levels)}}`
}

describe('P-3: the static check of an expression', () => {
  it.each([
    'cayenne_lpp_decode(input)',
    '{"celsius": cayenne_lpp_decode(input).temperature_0, "size": input.size(), "length": size(input)}',
    '{"sum": [1, 2, 3].map(x, [x].map(y, x * y)), "has": has(cayenne_lpp_decode(input).gps_1)}',
    '{"chained": [1, 2, 3].map(x, x + 1).filter(x, x > 1).map(x, x).filter(x, true)}',
    '{"type": type(input) == bytes, "at": timestamp("2026-01-01T00:00:00Z"), "for": duration("1.5s")}',
    '{"null": google.protobuf.NullValue.NULL_VALUE, "wrapped": google.protobuf.Int64Value{value: 3}}',
    'size(input) > 3 ? cayenne_lpp_decode(input) : {}',
    '{"shadowed": [{"a": 1}].map(input, input.a), "indexed": [[1]].map(input, input[0])}',
    '{"text": string(input).startsWith("a") && !string(input).matches("b+")}',
    '{"edge": [-9223372036854775808, 9223372036854775807], "unsigned": 18446744073709551615u}',
    '{"port": f_port + f_cnt, "rssi": metadata.rssi, "snr": metadata["snr"], "at": received_at.getHours()}',
    'metadata',
    '{"n": metadata.rssi + 1.0, "i": int(metadata.gateways[0].id), "t": metadata.tags.map(t, t.name + "x")}',
    '{"n": json(string(input)).a.b[0] + 1.0, "l": json(string(input)).map(x, x.y > 1)}',
    '{"n": cayenne_lpp_decode(input).temperature_1 * 1.8 + 32.0}',
    '{"mixed": [1, "a", 2.5].map(x, string(x)), "null": f_port == 1 ? 1 : null}',
    '{"compared": 1 < 2.5, "equal": 1 == "a", "in": "a" in metadata, "later": received_at + duration("1h")}',
    '{"wrapped": google.protobuf.Int32Value{value: 3} + 1}',
    'f_port == 2 ? json(string(input)) : {"raw": input}',
    '{"n": int(hex(slice(input, 0, 2))), "f": tlv(input, {"01": 2})["01"].size()}',
    '[f_port].map(p, {"port": p})[0]',
    '{"shadowed": [{"a": 1}].map(f_port, f_port.a)}',
    '.input.size() > 0 ? {"absolute": true} : {}',
    '',
  ])('accepts %s', (source) => {
    expect(checker.check(source)).toEqual({ ok: true })
  })

  it.each([
    ['{"a": }', 1, 7, 'syntax error: found }'],
    ['{"a": 1}\n  @', 2, 3, 'syntax error'],
    [' ', 1, 2, 'syntax error'],
    ['{"a": "\\ud800"}', 1, 1, 'surrogate'],
    ['{"a": temperature}', 1, 7, 'unknown variable "temperature"; the payload is "input"'],
    ['{"a": 1,\n "b": constructor}', 2, 7, 'unknown variable "constructor"'],
    ['{"a": __proto__}', 1, 7, 'unknown variable "__proto__"'],
    ['{"a": math.PI}', 1, 7, 'unknown variable "math"'],
    ['{"a": [1].map(x, x)[0] + x}', 1, 26, 'unknown variable "x"'],
    ['decode(input)', 1, 1, 'unknown function "decode"'],
    ['{"a": input.decode()}', 1, 12, 'unknown function "decode"'],
    ['{"a": toString()}', 1, 7, 'unknown function "toString"'],
    ['cayenne_lpp_decode()', 1, 1, '"cayenne_lpp_decode" does not exist as a function with 0 argument(s)'],
    ['input.cayenne_lpp_decode()', 1, 6, '"cayenne_lpp_decode" does not exist as a method with 0 argument(s)'],
    ['{"a": [1].map(1, 2)}', 1, 10, '"map" is a macro'],
    ['{"a": has(input)}', 1, 7, '"has" is a macro'],
    ['{"a": input[0]}', 1, 12, 'bytes cannot be indexed; read a byte with uint8(b, index)'],
    ['{"a": input.temperature}', 1, 12, 'bytes has no fields, such as "temperature"'],
    ['{"a": ponix.Message{}}', 1, 7, 'unknown type "ponix.Message"'],
    ['{"a": 9223372036854775808}', 1, 7, 'not a 64-bit integer'],
    ['{"a": 18446744073709551616u}', 1, 7, 'not an unsigned 64-bit integer'],
    ['{"a": 1e999}', 1, 7, 'too large for a double'],
    ['{"a": f_port.x}', 1, 13, 'int has no fields, such as "x"'],
    ['{"a": f_cnt[0]}', 1, 12, 'int cannot be indexed'],
    ['{"a": received_at.seconds}', 1, 18, 'google.protobuf.Timestamp has no fields'],
    ['f_port', 1, 1, 'must be a map'],
    ['25', 1, 1, 'must be a map'],
    ['input', 1, 1, 'must be a map'],
    ['size(input) > 1 ? {} : [1]', 1, 24, 'must be a map'],
    ['size(input)', 1, 1, 'the result must be a map such as {"temperature": 21.5} or a list of readings, not int'],
    ['[1]', 1, 1, 'the result must be a map such as {"temperature": 21.5} or a list of readings, not list(int)'],
    ['["a"]', 1, 1, 'not list(string)'],
    ['{"n": int(input)}', 1, 7, 'int(bytes) does not exist; read numbers with uint8(b, index), int16be(b, index)'],
    ['{"n": input.map(x, x)}', 1, 7, 'bytes cannot be iterated, only a list or a map'],
    ['{"n": double(f_port) + 1}', 1, 21, 'double + int does not exist; convert one side, such as int with double(…)'],
    ['{"n": 2 * 1.5}', 1, 8, 'int * double does not exist; convert one side, such as int with double(…)'],
    ['{"n": input + "a"}', 1, 12, 'bytes + string does not exist'],
    ['{"n": !f_port}', 1, 6, '!(int) does not exist'],
    ['{"n": f_port.startsWith("a")}', 1, 13, 'int.startsWith(string) does not exist'],
    ['{"n": received_at > 5}', 1, 18, 'google.protobuf.Timestamp > int does not exist'],
    ['{"n": f_port ? 1 : 2}', 1, 7, 'the condition of "?" must be bool, not int'],
    ['{"n": f_port == 1 && f_cnt}', 1, 22, 'an operand of "&&" must be bool, not int'],
    ['{"n": [1, 2].map(x, x + "a")}', 1, 22, 'int + string does not exist'],
    ['{"n": [f_port][0].x}', 1, 18, 'int has no fields'],
    ['f_port == 2 ? {"n": 1} : {"n": int(input)}', 1, 32, 'int(bytes) does not exist'],
    ['{"a": [1].map(x, [x].map(y, [y].map(z, z)))}', 1, 32, 'macros are nested 3 deep'],
    ['{"a": [1].all(x, [x].exists(y, [y].exists_one(z, true)))}', 1, 35, 'macros are nested 3 deep'],
  ])('rejects %s', (source, line, column, message) => {
    const result = checker.check(source)
    expect(result).toEqual({ ok: false, line, column, message: expect.stringContaining(message) })
  })

  it.each([
    '[{"data": {}}]',
    '[]',
    '[1].map(x, {"data": {"n": x}})',
    'f_port == 1 ? {} : [{"data": {}}]',
    '[metadata]',
  ])('accepts the result %s, which can be readings', (source) => {
    expect(checker.check(source)).toEqual({ ok: true })
  })

  it('accepts 4096 bytes of UTF-8 and rejects 4097', () => {
    const fitting = `{"a": "${'ä'.repeat(2043)}"}`
    expect(Buffer.byteLength(fitting)).toBe(4095)
    expect(checker.check(`${fitting} `)).toEqual({ ok: true })
    expect(checker.check(`${fitting}  `)).toMatchObject({
      ok: false,
      message: 'the expression has 4097 bytes, at most 4096 are allowed',
    })
  })

  it.each([
    ['lists', nested('[', ']', 2000)],
    ['parentheses', nested('(', ')', 2000)],
    ['maps', nested('{1:', '}', 800)],
    ['calls', nested('f(', ')', 1300)],
    ['unclosed lists', '['.repeat(4000)],
    ['sums', `{"a": ${'1+'.repeat(2000)}1}`],
    ['conditions', `{"a": ${'true?1:'.repeat(500)}1}`],
    ['methods', `{"a": input${'.size()'.repeat(500)}}`],
  ])('rejects thousands of nested %s without an exception', (_name, source) => {
    const result = checker.check(source)
    expect(result.ok || result.message).toMatch(/nested too deeply|syntax error/)
  })
})
