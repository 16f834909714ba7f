import { z } from 'zod'
import {
  choiceHint,
  flagHint,
  type Form,
  type Hint,
  hintFor,
  keyHint,
  millisecondsHint,
  numberHint,
  variableHint,
  withHint,
} from './hints.ts'

/*
 * The building blocks of the schema. An error message completes "expected …", except those of unknown keys (one line for each
 * key) and of `statement`, which are sentences.
 */

// A file is parsed once: to compile the parser of each object would take more time and memory than it saves.
z.config({ jitless: true })

/** The limit of a Node.js timer, about 24 days. */
const maxTimer = 2_147_483_647

/** Returns the schema of an object without other keys. The error of an unknown key contains a correction. */
export function section<T extends z.core.$ZodLooseShape>(form: Form, shape: T) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? (issue.keys ?? []).map((key) => `unknown key; ${keyHint(key, Object.keys(shape))}`).join('\n')
        : typeof form === 'string'
          ? form
          : form(issue),
  })
}

/** Returns options of a refinement that runs even if other keys are invalid, so that all errors are reported together. */
export function statement(error: string, path: readonly string[]) {
  return {
    error,
    path: [...path],
    params: { statement: true },
    when: ({ value }: { readonly value: unknown }) => typeof value === 'object' && value !== null,
  }
}

// Methods such as `.min()` copy the schema once for each rule; `.check()` copies it once for all of them, which takes less memory.

const withoutNul = z.refine<string>((value) => !value.includes('\0'), { error: 'a text without NUL characters' })

/** Returns the schema of a non-empty string. */
export function text(form: Form) {
  return z.string({ error: form }).check(withoutNul, z.minLength(1, { error: form }))
}

/** Returns the schema of a string that can be empty, such as an argument. */
export function plainText(form: Form) {
  return z.string({ error: form }).check(withoutNul)
}

export function choice<const T extends readonly [string, ...string[]]>(values: T) {
  const form = `one of ${values.map((value) => `"${value}"`).join(', ')}`
  return z.enum(values, { error: withHint(form, choiceHint(values)) })
}

export function wholeNumber(form: string, min: number, max: number, hint: Hint = numberHint) {
  const error = `${form} from ${min} to ${max}`
  return z.int({ error: withHint(error, hint) }).check(z.gte(min, { error }), z.lte(max, { error }))
}

export const milliseconds = (min: number) =>
  wholeNumber('a whole number of milliseconds', min, maxTimer, millisecondsHint)
export const flag = () => z.boolean({ error: withHint('true or false', flagHint) })

const byteSizeForm = 'a number of bytes, or a size such as "10MB" or "64KiB"'

const byteSizePattern = /^(\d{1,15}(?:\.\d{1,3})?) ?(?:([KMGT])(I)?B|B)?$/

/** Parses `1000`, `"10MB"` (powers of 1000), `"64KiB"` (powers of 1024) or `"1.5 GB"` to bytes; null if invalid or less than 1. */
export function parseByteSize(size: number | string): number | null {
  const [, number, prefix, binary] = byteSizePattern.exec(String(size).toUpperCase()) ?? []
  if (number === undefined) return null
  const factor = prefix === undefined ? 1 : (binary === undefined ? 1000 : 1024) ** ('KMGT'.indexOf(prefix) + 1)
  const bytes = Math.floor(Number(number) * factor)
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : null
}

export function byteSize() {
  return z
    .union(
      [
        wholeNumber(byteSizeForm, 1, Number.MAX_SAFE_INTEGER),
        text(byteSizeForm).regex(/^\d[\d.]* ?[kKmMgGtT]?[iI]?[bB]?$/),
      ],
      { error: byteSizeForm },
    )
    .refine((size) => parseByteSize(size) !== null, { error: byteSizeForm })
}

/** Variables of the environment, before interpolation. */
export const environmentSchema = z.record(
  z.string().regex(/^[^=\0]+$/, { error: 'the name of an environment variable, not empty and without "="' }),
  plainText(withHint('a string', variableHint)),
  { error: withHint('an object of environment variables', hintFor('object', 'write {"NAME": "value"}')) },
)
