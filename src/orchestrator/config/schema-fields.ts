import { z } from 'zod'
import { nearestName } from './nearest-name.ts'

/*
 * What the schema is made of. Every message here completes "expected …". Two kinds are whole sentences instead: those of
 * unknown keys (one line for each key), and those of `statement`, which speak of how two keys stand to each other.
 */

/** The longest wait that a timer of Node can hold, about 24 days. */
const maxTimer = 2_147_483_647

function unknownKey(key: string, known: readonly string[]): string {
  const nearest = nearestName(key, known)
  return nearest === null ? `unknown key; known are ${known.join(', ')}` : `unknown key; did you mean "${nearest}"?`
}

/** An object of known keys; any other key is an error that names the nearest known one. */
export function section<T extends z.core.$ZodLooseShape>(form: string, shape: T) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? (issue.keys ?? []).map((key) => unknownKey(key, Object.keys(shape))).join('\n')
        : form,
  })
}

/** The options of a refinement that runs also where other keys are wrong, so that every error is found at once. */
export function statement(error: string, path: readonly string[]) {
  return {
    error,
    path: [...path],
    params: { statement: true },
    when: ({ value }: { readonly value: unknown }) => typeof value === 'object' && value !== null,
  }
}

/** Not empty. */
export function text(form: string) {
  return z
    .string({ error: form })
    .min(1, { error: form })
    .refine((value) => !value.includes('\0'), { error: `${form}, without NUL characters` })
}

/** May be empty, as an argument or the value of a variable may. */
export function plainText(form: string) {
  return z
    .string({ error: form })
    .refine((value) => !value.includes('\0'), { error: `${form}, without NUL characters` })
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  return z.enum(values, { error: `one of ${values.map((value) => `"${value}"`).join(', ')}` })
}

/** Both ends included. */
export function wholeNumber(form: string, min: number, max: number) {
  const error = `${form} from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

export const milliseconds = (min: number) => wholeNumber('a whole number of milliseconds', min, maxTimer)
export const flag = () => z.boolean({ error: 'true or false' })

export const byteSizeForm = 'a number of bytes, or a size such as "10MB" or "64KiB"'

const factors: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Bytes of `1000`, `"10MB"` (powers of 1000), `"64KiB"` (powers of 1024) and `"1.5 GB"`; null if it is none or less than 1. */
export function parseByteSize(size: number | string): number | null {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?) ?([A-Za-z]{0,3})$/.exec(String(size)) ?? []
  const factor = factors[unit.toUpperCase()]
  if (number === undefined || factor === undefined) return null
  const bytes = Math.floor(Number(number) * factor)
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null
}
