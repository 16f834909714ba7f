import type { z } from 'zod'
import { statement } from './fields.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** A rule about several keys of an object, both for `validate` and for the JSON Schema of editors. */
export interface Rule {
  /** The key that the problem is about. */
  readonly path: readonly string[]
  /** The problem, as a sentence about that key. */
  readonly message: string
  readonly isBroken: (value: unknown) => boolean
  readonly jsonSchema: JsonSchema
}

/** A test of one value; the value of a missing key is undefined. */
interface Test {
  readonly matches: (value: unknown) => boolean
  /** Null for the absence of the key. */
  readonly jsonSchema: JsonSchema | null
}

export const present: Test = { matches: (value) => value !== undefined, jsonSchema: {} }
export const absent: Test = { matches: (value) => value === undefined, jsonSchema: null }
export const notEmpty: Test = {
  matches: (value) => Array.isArray(value) && value.length > 0,
  jsonSchema: { type: 'array', minItems: 1 },
}

/** A text without variables. */
export const fixedText: Test = {
  matches: (value) => typeof value === 'string' && !value.includes('${'),
  jsonSchema: { type: 'string', not: { pattern: String.raw`\$\{` } },
}

export function equal(expected: string | boolean): Test {
  return { matches: (value) => value === expected, jsonSchema: { const: expected } }
}

export function moreThan(limit: number): Test {
  return {
    matches: (value) => typeof value === 'number' && value > limit,
    jsonSchema: { type: 'number', exclusiveMinimum: limit },
  }
}

/** Returns a rule against objects to which all conditions apply. Paths are written as `restart.policy`. */
export function forbid(conditions: Readonly<Record<string, Test>>, path: string, message: string): Rule {
  const tests = Object.entries(conditions).map(([at, test]) => ({ keys: at.split('.'), test }))
  return {
    path: path.split('.'),
    message,
    isBroken: (value) => tests.every(({ keys, test }) => test.matches(valueAt(value, keys))),
    jsonSchema: { not: { allOf: tests.map(({ keys, test }) => conditionSchema(keys, test)) } },
  }
}

/** Returns a rule that an object has exactly one of the keys. */
export function exactlyOne(keys: readonly string[]): Rule {
  const countIn = (value: unknown) => keys.filter((key) => valueAt(value, [key]) !== undefined).length
  return {
    path: [],
    message: `needs exactly one of ${keys.join(', ')}`,
    isBroken: (value) => countIn(value) !== 1,
    jsonSchema: { oneOf: keys.map((key) => ({ required: [key] })) },
  }
}

/** Adds rules to the schema of an object, and to its JSON Schema. */
export function withRules<T extends z.ZodType>(schema: T, rules: readonly Rule[]): T {
  const refined = rules.reduce(
    (result, { isBroken, message, path }) => result.refine((value) => !isBroken(value), statement(message, path)),
    schema,
  )
  // VS Code shows `errorMessage`; validators ignore it.
  return refined.meta({
    allOf: rules.map(({ jsonSchema, path, message }) => {
      const subject = path.length === 0 ? '' : `"${path.join('.')}" `
      return { ...jsonSchema, errorMessage: `${subject}${message}` }
    }),
  })
}

function valueAt(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return value
  if (typeof value !== 'object' || value === null) return undefined
  return valueAt(Object.getOwnPropertyDescriptor(value, key)?.value, rest)
}

/** Returns a schema that matches objects in which the value at `keys` matches the test. */
function conditionSchema([key, ...rest]: readonly string[], test: Test): JsonSchema {
  if (key === undefined) return test.jsonSchema ?? {}
  if (test.jsonSchema === null && rest.length === 0) return { not: { required: [key] } }
  return { required: [key], properties: { [key]: conditionSchema(rest, test) } }
}
