import { celEnv, celFunc, CelScalar, celUint, isCelError, objectType } from '@bufbuild/cel'
import { isReflectMessage } from '@bufbuild/protobuf/reflect'
import { DurationSchema } from '@bufbuild/protobuf/wkt'

const { DOUBLE, INT, STRING, UINT } = CelScalar

/** At most 20 digits after leading zeros: every 64-bit integer, and no number whose conversion is slow. */
const SIGNED_INTEGER = /^[+-]?0*\d{1,20}$/
const UNSIGNED_INTEGER = /^0*\d{1,20}$/
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const INFINITY = /^([+-]?)inf(?:inity)?$/i

const standardDuration = celEnv().funcs.find('duration')

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
  if (/^nan$/i.test(text)) return NaN
  const infinity = INFINITY.exec(text)
  if (infinity !== null) return infinity[1] === '-' ? -Infinity : Infinity
  const value = DECIMAL.test(text) ? Number(text) : NaN
  if (!Number.isFinite(value)) throw cannotConvert(text, 'a double')
  return value
}

function stringToDuration(text: string) {
  const result = /\d/.test(text) ? standardDuration?.call(0, undefined, [text]) : undefined
  if (isCelError(result)) throw new Error(result.message)
  if (!isReflectMessage(result)) throw cannotConvert(text, 'a duration such as "1h30m"')
  return result
}

/**
 * The conversions of strings as the CEL specification defines them. Those of the library accept what JavaScript does: an empty
 * string is 0, and "0x1F" is 31.
 */
export const conversions = [
  celFunc('int', [STRING], INT, stringToInt),
  celFunc('uint', [STRING], UINT, stringToUint),
  celFunc('double', [STRING], DOUBLE, stringToDouble),
  celFunc('duration', [STRING], objectType(DurationSchema), stringToDuration),
]
