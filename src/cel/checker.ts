import type { PayloadConversionChecker } from '../domain/payload-conversion.ts'
import { checkSource } from './static-check.ts'

/**
 * The check of an expression at the time it is written: size, syntax, nesting of macros, unknown variables and functions,
 * literals out of range, a result that can never be a map. An empty source passes: the device has no expression yet.
 */
export function createPayloadConversionChecker(): PayloadConversionChecker {
  return {
    check(source) {
      if (source === '') return { ok: true }
      const result = checkSource(source)
      return result.ok ? { ok: true } : result
    },
  }
}
