import { celEnv, celFunc, CelScalar, celUint, isCelError, objectType } from '@bufbuild/cel'
import { isReflectMessage } from '@bufbuild/protobuf/reflect'
import { DurationSchema } from '@bufbuild/protobuf/wkt'

const { DOUBLE, INT, STRING, UINT } = CelScalar

/** At most 20 digits after leading zeros: every 64-bit integer, and no number whose conversion is slow. */
const SIGNED_INTEGER = /^[+-]?0*\d{1,20}$/
const UNSIGNED_INTEGER = /^0*\d{1,20}$/
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const INFINITY = /^[+-]?inf(?:inity)?$/i

const standard = celEnv().funcs
const standardDuration = standard.find('duration')

function cannotConvert(text: string, type: string): Error {
  const shown = text.length <= 40 ? text : `${text.slice(0, 39)}…`
  return new Error(`${JSON.stringify(shown)} is not ${type}`)
}

function stringToInt(text: string): bigint {
  const value = SIGNED_INTEGER.test(text) ? BigInt(text) : undefined
  if (value === undefined || value !== BigInt.asIntN(64, value)) throw cannotConvert(text, 'a 64-bit integer')
  return value
}

function stringToUint(text: string) {
  const value = UNSIGNED_INTEGER.test(text) ? BigInt(text) : undefined
  if (value === undefined || value !== BigInt.asUintN(64, value))
    throw cannotConvert(text, 'an unsigned 64-bit integer')
  return celUint(value)
}

function stringToDouble(text: string): number {
  if (!DECIMAL.test(text)) return namedDouble(text)
  const value = Number(text)
  if (!Number.isFinite(value)) throw cannotConvert(text, 'a double')
  return value
}

function namedDouble(text: string): number {
  if (INFINITY.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  if (/^nan$/i.test(text)) return NaN
  throw cannotConvert(text, 'a double')
}

function stringToDuration(text: string) {
  const result = /\d/.test(text) ? standardDuration?.call(0, undefined, [text]) : undefined
  if (isCelError(result)) throw new Error(result.message)
  if (!isReflectMessage(result)) throw cannotConvert(text, 'a duration such as "1h30m"')
  return result
}

const fromString = [
  celFunc('int', [STRING], INT, stringToInt),
  celFunc('uint', [STRING], UINT, stringToUint),
  celFunc('double', [STRING], DOUBLE, stringToDouble),
  celFunc('duration', [STRING], objectType(DurationSchema), stringToDuration),
]

/**
 * The conversions of strings as the CEL specification defines them, among the other overloads of their names. Those of the library
 * accept what JavaScript does: an empty string is 0, and "0x1F" is 31. An overload alone would be tried last, which is slower.
 */
export const conversions = fromString.flatMap((replacement) =>
  [...(standard.find(replacement.name) ?? [])].map((overload) =>
    overload.id === replacement.id ? replacement : overload,
  ),
)
