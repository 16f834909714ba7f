import { isJsonList, isJsonObject, type JsonValue } from '../entities.ts'

/** A place where two JSON values differ. A side without a value at this place is undefined. */
export interface Difference {
  /** Such as `data.temperatures[0]`. */
  readonly path: string
  readonly expected: JsonValue | undefined
  readonly got: JsonValue | undefined
}

/** Numbers are equal within this part of the larger one, because languages round differently. */
const RELATIVE_TOLERANCE = 1e-9
const MAX_VALUE_CHARACTERS = 200
const IDENTIFIER = /^[\p{L}_$][\p{L}\p{N}_$-]*$/u

/** Returns the differences of two JSON values, in the order of the expected value; `path` is the path of the values. */
export function jsonDifferences(
  expected: JsonValue | undefined,
  got: JsonValue | undefined,
  path: string,
): readonly Difference[] {
  if (expected !== undefined && got !== undefined) {
    if (isJsonList(expected) && isJsonList(got)) {
      const length = Math.max(expected.length, got.length)
      return Array.from({ length }, (_, index) => index).flatMap((index) =>
        jsonDifferences(expected[index], got[index], `${path}[${index}]`),
      )
    }
    if (isJsonObject(expected) && isJsonObject(got)) {
      const keys = [...new Set([...Object.keys(expected), ...Object.keys(got)])]
      return keys.flatMap((key) => jsonDifferences(own(expected, key), own(got, key), pathOf(path, key)))
    }
  }
  return isSame(expected, got) ? [] : [{ path, expected, got }]
}

/** Returns `path: expected …, got …`. Long values are shortened. */
export function differenceText({ path, expected, got }: Difference): string {
  return `${path}: expected ${valueText(expected)}, got ${valueText(got)}`
}

function valueText(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length <= MAX_VALUE_CHARACTERS ? text : `${text.slice(0, MAX_VALUE_CHARACTERS - 1)}…`
}

function own(object: Readonly<Record<string, JsonValue>>, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function pathOf(path: string, key: string): string {
  return IDENTIFIER.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

function isSame(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b
  return a === b || Math.abs(a - b) <= RELATIVE_TOLERANCE * Math.max(Math.abs(a), Math.abs(b))
}
