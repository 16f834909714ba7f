import { expect, test } from 'vitest'
import { DomainError } from './errors.ts'
import { jsonObject, LIMITS, optionalBytes, optionalText, requiredText } from './fields.ts'

function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof DomainError && error.code === 'invalid_argument') return error.message
    throw error
  }
  throw new Error('nothing was thrown')
}

test.each(['', ' ', '\t\n', '\u00a0'])('A-4 rejects the required field %j, naming it', (value) => {
  expect(refusal(() => requiredText('name', value, 10))).toBe('name is required and must not be blank')
})

test('A-5 limits text in characters and does not change it', () => {
  expect(requiredText('name', ' Käse ', 6)).toBe(' Käse ')
  expect(optionalText('name', '', 6)).toBe('')
  expect(refusal(() => optionalText('name', 'x'.repeat(7), 6))).toBe('name is too long: 7 characters, at most 6')
})

test('A-5 limits an expression in bytes', () => {
  expect(optionalBytes('payload_conversion', 'ä'.repeat(3), 6)).toBe('äää')
  const message = refusal(() => optionalBytes('payload_conversion', 'ä'.repeat(4), 6))
  expect(message).toBe('payload_conversion is too long: 8 bytes, at most 6')
})

test('A-4 rejects the NUL character', () => {
  expect(refusal(() => requiredText('device_id', 'a\0b', 10))).toContain('device_id must not contain the NUL character')
})

test('A-4 parses gateway_config; empty means {}', () => {
  expect(jsonObject('gateway_config', '', 100)).toEqual({})
  expect(jsonObject('gateway_config', ' {"host": "h", "n": [1, null, {"x": true}]} ', 100)).toEqual({
    host: 'h',
    n: [1, null, { x: true }],
  })
})

test.each([
  ['[]', 'not an array'],
  ['"x"', 'not a string'],
  ['7', 'not a number'],
  ['null', 'not null'],
  ['{', 'must be a JSON object: '],
  ['  ', 'must be a JSON object: '],
  ['{"a": "\\u0000"}', 'must not contain the NUL character'],
  ['{"\\ud800": 1}', 'half a surrogate pair'],
  ['{"a": [1e999]}', 'a number that is too large'],
  ['{"a":'.repeat(40) + '1' + '}'.repeat(40), 'nested deeper than 32 levels'],
  [`{"a": "${'x'.repeat(1000)}"}`, 'too long: 1009 bytes, at most 1000'],
])('A-4 rejects gateway_config %.40s', (text, reason) => {
  const message = refusal(() => jsonObject('gateway_config', text, 1000))
  expect(message).toMatch(/^gateway_config /)
  expect(message).toContain(reason)
})

test('A-5 rejects a config with the deepest possible nesting', () => {
  const depth = LIMITS.gatewayConfigBytes / 2 - 10
  const text = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
  expect(refusal(() => jsonObject('gateway_config', text, LIMITS.gatewayConfigBytes))).toContain('nested deeper')
})
