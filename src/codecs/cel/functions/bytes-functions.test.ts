import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resultOf, valueOf } from '../../../../test/rig/adapters/cel-result.ts'

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Returns the integer that the bytes encode, computed digit by digit. */
function integerOf(bytes: Uint8Array, signed: boolean): bigint {
  const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  return signed ? BigInt.asIntN(bytes.length * 8, value) : value
}

describe('P-2: the functions that read numbers from bytes', () => {
  it.each(
    [8, 16, 24, 32, 64].flatMap((width) => [
      [`uint${width}`, width / 8, false] as const,
      [`int${width}`, width / 8, true] as const,
    ]),
  )('%s reads every integer of its size in both byte orders', (name, size, signed) => {
    const orders = size === 1 ? [''] : ['be', 'le']
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), fc.nat(3), (bytes, index) => {
        for (const order of orders) {
          const digits = order === 'le' ? bytes.toReversed() : bytes
          const payload = '00'.repeat(index) + hexOf(bytes)
          expect(valueOf(`string(${name}${order}(input, ${index}))`, payload)).toBe(String(integerOf(digits, signed)))
        }
      }),
    )
  })

  it.each([
    ['float32be(input, 0)', '3fc00000', 1.5],
    ['float32le(input, 1)', '00 0000c03f', 1.5],
    ['float64be(input, 0)', 'c05ec00000000000', -123],
    ['float64le(input, 0)', '0000000000c05ec0', -123],
    ['uint16be(input, 0) + 1', '00ff', 256],
    ['uint64be(input, 0) + 1u', '00000000000000ff', 256],
    ['uint64be(input, 0)', 'ffffffffffffffff', '18446744073709551615'],
    ['int16be(slice(input, 1, 3), 0)', '01 fffe 02', -2],
  ])('%s of %s is %s', (expression, payload, value) => {
    expect(valueOf(expression, payload)).toBe(value)
  })

  it.each([
    ['uint8(input, 7)', 'uint8: byte 7 was requested, but there are only 5, counted from 0'],
    ['int16le(input, 4)', 'int16le: bytes 4 to 5 were requested, but there are only 5, counted from 0'],
    ['uint8(input, -1)', 'uint8: byte -1 was requested, but the first byte is 0'],
    ['uint8(input, 9223372036854775807)', 'uint8: byte 9223372036854775807 was requested, but there are only 5'],
    ['slice(input, 2, 6)', 'slice: bytes from 2 to before 6 were requested, but there are only 5'],
    ['slice(input, 6)', 'slice: bytes from 6 to before 5 were requested, but there are only 5'],
    ['slice(input, 3, 2)', 'slice: bytes from 3 to before 2 were requested'],
    ['slice(input, 6, 6)', 'slice: bytes from 6 to before 6 were requested, but there are only 5'],
    ['slice(input, -1, 2)', 'slice: bytes from -1 to before 2 were requested'],
    ['uint8(slice(input, 0, 0), 0)', 'uint8: byte 0 was requested, but there are no bytes'],
    ['bits(1, 60, 5)', 'bits: 5 bits from bit 60 were requested; expected 1 to 63 of the bits 0 to 63'],
    ['bits(1, -1, 1)', 'bits: 1 bits from bit -1 were requested'],
    ['bits(1, 0, 0)', 'bits: 0 bits from bit 0 were requested'],
  ])('%s of 5 bytes fails with its reason', (expression, reason) => {
    expect(valueOf(expression, '0102030405')).toEqual(expect.stringContaining(`line 1, column`))
    expect(valueOf(expression, '0102030405')).toEqual(expect.stringContaining(reason))
  })
})

describe('P-2: the functions that take bytes apart', () => {
  it.each([
    ['bits(uint8(input, 0), 0, 4)', 'a5', 5],
    ['bits(uint8(input, 0), 4, 4)', 'a5', 10],
    ['bits(-1, 0, 63)', '', '9223372036854775807'],
    ['bits(-1, 62, 2)', '', 3],
    ['bits(18446744073709551615u, 0, 64)', '', '18446744073709551615'],
    ['hex(input)', '00A0ff', '00a0ff'],
    ['hex(slice(input, 1))', '00A0ff', 'a0ff'],
    ['hex(slice(input, 0, 2))', '00A0ff', '00a0'],
    ['hex(slice(input, 3))', '00A0ff', ''],
    ['hex(reverse(input))', '010203', '030201'],
    ['hex(reverse(input) + input)', '0102', '02010102'],
    ['input.size()', '0102', 2],
  ])('%s of %s is %s', (expression, payload, value) => {
    expect(valueOf(expression, payload)).toBe(value)
  })

  it('tlv returns the data of each header, the last if a header repeats', () => {
    const sizes = '{"01": 2, "0B": 0, "1c": 1}'
    expect(
      valueOf(`tlv(input, ${sizes}).map(k, k + ":" + hex(tlv(input, ${sizes})[k]))`, '01 0102 1c 09 0b 01 0304'),
    ).toEqual(['01:0304', '1c:09', '0b:'])
    expect(valueOf('hex(tlv(input, {"0367": 2})["0367"])', '0367 1001')).toBe('1001')
    expect(resultOf('tlv(input, {"01": 2})')).toEqual({})
  })

  it.each([
    ['tlv(input, {"01": 2})', '01 0102 02', 'tlv: unknown header "02" at byte 3'],
    ['tlv(input, {"01": 2})', '01 01', 'tlv: the field "01" at byte 0 needs 3 bytes, got 2'],
    ['tlv(input, {"0167": 2})', '01', 'tlv: the field "01" at byte 0 needs 2 bytes, got 1'],
    ['tlv(input, {"01": 2, "0102": 2})', '', 'tlv: the headers in the map differ in length'],
    ['tlv(input, {})', '', 'tlv: the map of headers and sizes is empty'],
    ['tlv(input, {"1": 2})', '', 'tlv: expected a map of headers and sizes'],
    ['tlv(input, {"01": -2})', '', 'tlv: expected a map of headers and sizes'],
  ])('%s of %s fails with its reason', (expression, payload, reason) => {
    expect(valueOf(expression, payload)).toEqual(expect.stringContaining(reason))
  })

  it('without_null leaves out the entries that are null', () => {
    expect(resultOf('without_null({"a": 1, "b": null, "c": false, "d": {"e": null}})')).toEqual({
      a: 1,
      c: false,
      d: { e: null },
    })
  })

  it('tlv throws only its own errors for any payload', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const result = resultOf('tlv(input, {"00": 1, "01": 0, "02": 2})', hexOf(bytes))
        expect(JSON.stringify(result)).toMatch(/^\{|: tlv: /)
      }),
    )
  })
})
