import { expect, it } from 'vitest'
import { valueOf } from '../../../../test/rig/adapters/cel-result.ts'

it.each([
  ['int("7")', 7],
  ['int("-0012")', -12],
  ['int("+7")', 7],
  ['string(int("-9223372036854775808"))', '-9223372036854775808'],
  ['uint("18446744073709551615")', '18446744073709551615'],
  ['double("1.5e3")', 1500],
  ['double(".5")', 0.5],
  ['double("-2.")', -2],
  ['string(double("-inf"))', '-Infinity'],
  ['string(double("NaN"))', 'NaN'],
  ['duration("1h30m")', '5400s'],
  ['duration("0")', '0s'],
])('P-2: %s converts a string', (expression, value) => {
  expect(valueOf(expression)).toBe(value)
})

it.each([
  ['int(string(input))', '"" is not a 64-bit integer'],
  ['int("0x1F")', '"0x1F" is not a 64-bit integer'],
  ['int(" 7 ")', '" 7 " is not a 64-bit integer'],
  ['int("1.0")', '"1.0" is not a 64-bit integer'],
  ['int("9223372036854775808")', '"9223372036854775808" is not a 64-bit integer'],
  ['int("-9223372036854775809")', 'is not a 64-bit integer'],
  ['int("111111111111111111111111111111111111111111111")', '1111…" is not a 64-bit integer'],
  ['uint("")', '"" is not an unsigned 64-bit integer'],
  ['uint("-1")', '"-1" is not an unsigned 64-bit integer'],
  ['uint("18446744073709551616")', 'is not an unsigned 64-bit integer'],
  ['double(string(input))', '"" is not a double'],
  ['double(" 1")', '" 1" is not a double'],
  ['double("0x1F")', '"0x1F" is not a double'],
  ['double("1e999")', '"1e999" is not a double'],
  ['double(".")', '"." is not a double'],
  ['duration("")', '"" is not a duration'],
  ['duration("-")', '"-" is not a duration'],
  ['duration("1 h")', 'Failed to parse duration'],
])('P-2: %s is an error', (expression, reason) => {
  expect(valueOf(expression)).toEqual(expect.stringContaining(reason))
})
