import { describe, expect, it } from 'vitest'
import { resultOf, valueOf } from '../../../../test/rig/adapters/cel-result.ts'

describe('P-2: the extension functions', () => {
  it.each([
    ['"a-b-c".replace("-", "+", 1)', 'a+b-c'],
    ['"abc".replace("", "x")', 'xaxbxcx'],
    ['"abc".replace("", "x", 2)', 'xaxbc'],
    ['"aaa".replace("a", "$&")', '$&$&$&'],
    ['"21.5;60".split(";").map(x, double(x))', [21.5, 60]],
    ['math.round(-2.5)', -3],
    ['math.greatest([1, 2.5, 2u])', 2.5],
    ['math.greatest([])', expect.stringContaining('math.greatest: the list is empty')],
    ['math.least("a", 1)', expect.stringContaining('math.least: expected numbers')],
    ['math.bitShiftLeft(1, -1)', expect.stringContaining('math.bitShiftLeft: the offset -1 is negative')],
    ['math.abs(-9223372036854775808)', expect.stringContaining('math.abs: the result is not a 64-bit integer')],
  ])('%s returns its value or reason', (expression, value) => {
    expect(valueOf(expression)).toEqual(value)
  })
})

describe('P-3: the limit of built strings', () => {
  const megabyte = '61'.repeat(1024 * 1024)

  it.each([
    '{"size": string(input).replace("a", "0123456789abcdefghij").size()}',
    '{"size": string(input).replace("", "0123456789abcdefghij").size()}',
    '{"size": [string(input)].map(s, [s, s, s, s, s, s, s, s, s].join(s).size())}',
    '{"size": [string(input)].map(s, "%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s".format([s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s]).size())}',
  ])('rejects %s for a payload of 1 MiB', (source) => {
    expect(resultOf(source, megabyte)).toEqual(expect.stringContaining('builds more than 16777216 bytes'))
  })
})
