import { celFunc, celList, celMap, CelScalar, type CelInput, type CelMap } from '@bufbuild/cel'
import { isJsonList, isJsonObject, type JsonObject, type JsonValue } from '../../../domain/entities.ts'
import { spend } from './build-budget.ts'

const MAX_DEPTH = 100

/** The tokens of JSON that contain digits. */
const STRINGS_AND_NUMBERS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
/** An integer whose digits a double may not keep. */
const LONG_INTEGER = /^-?\d{16,}$/

/** Converts a JSON object to a CEL map. Throws if it is nested deeper than 100 levels. */
export function jsonToMap(object: JsonObject, depth = 0): CelMap {
  return celMap(new Map(Object.entries(object).map(([key, value]) => [key, jsonToCel(value, depth)])))
}

function jsonToCel(value: JsonValue, depth: number): CelInput {
  if (depth > MAX_DEPTH) throw new Error(`the JSON is nested deeper than ${MAX_DEPTH} levels`)
  if (isJsonList(value)) return celList(value.map((element) => jsonToCel(element, depth + 1)))
  return isJsonObject(value) ? jsonToMap(value, depth + 1) : value
}

/** Puts integers in quotes that a double does not represent exactly, as results do. */
function quoteInexactIntegers(text: string): string {
  return text.replace(STRINGS_AND_NUMBERS, (token) =>
    LONG_INTEGER.test(token) && BigInt(Number(token)) !== BigInt(token) ? `"${token}"` : token,
  )
}

function parseJson(text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text)
    // The text is valid JSON here, so quoting a number cannot turn it into another structure.
    return /\d{16}/.test(text) ? JSON.parse(quoteInexactIntegers(text)) : value
  } catch (cause) {
    throw new Error(`json: the text is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** The function that parses JSON text. Numbers are doubles; integers that a double cannot represent are strings. */
export const jsonFunction = celFunc('json', [CelScalar.STRING], CelScalar.DYN, (text) => {
  spend(text.length)
  return jsonToCel(parseJson(text), 0)
})
