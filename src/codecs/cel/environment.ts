import { create, type Registry } from '@bufbuild/protobuf'
import { TimestampSchema } from '@bufbuild/protobuf/wkt'
import { celEnv, celFunc, celMap, CelScalar, mapType, objectType, type CelInput, type CelType } from '@bufbuild/cel'
import { spend } from './functions/build-budget.ts'
import { bytesFunctions } from './functions/bytes-functions.ts'
import { decodeCayenneLpp, type LppValue } from './functions/cayenne-lpp.ts'
import { conversions } from './functions/conversions.ts'
import { extensions } from './functions/extensions.ts'
import { jsonFunction } from './functions/json-value.ts'

const { BYTES, DYN, INT, STRING } = CelScalar

/** The variables of a device's expression. */
export const VARIABLES = {
  /** The payload. */
  input: BYTES,
  /** Port and frame counter of the uplink; 0 if the gateway does not know them. */
  f_port: INT,
  f_cnt: INT,
  /** What the network server says of the reception; empty if the gateway does not know it. */
  metadata: mapType(STRING, DYN),
  /** The time of receipt. */
  received_at: objectType(TimestampSchema),
} as const satisfies Record<string, CelType>

const LATEST_TIMESTAMP_SECONDS = 253_402_300_799n
const EARLIEST_TIMESTAMP_SECONDS = -62_135_596_800n

const encoder = new TextEncoder()
const decoder = new TextDecoder(undefined, { fatal: true })

function joinStrings(left: string, right: string): string {
  spend(left.length + right.length)
  return left + right
}

function joinBytes(left: Uint8Array, right: Uint8Array): Uint8Array {
  spend(left.length + right.length)
  const joined = new Uint8Array(left.length + right.length)
  joined.set(left)
  joined.set(right, left.length)
  return joined
}

function bytesToString(bytes: Uint8Array): string {
  spend(bytes.length)
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new Error('the bytes are not valid UTF-8', { cause })
  }
}

function stringToBytes(text: string): Uint8Array {
  spend(text.length * 3)
  return encoder.encode(text)
}

/** Converts seconds, as the CEL specification defines; the library reads the integer as milliseconds. */
function secondsToTimestamp(seconds: bigint) {
  if (seconds > LATEST_TIMESTAMP_SECONDS || seconds < EARLIEST_TIMESTAMP_SECONDS)
    throw new Error('timestamp out of range')
  return create(TimestampSchema, { seconds })
}

function lppToCel(value: LppValue): CelInput {
  return typeof value === 'object' ? celMap(new Map(Object.entries(value))) : value
}

function decodeLpp(payload: Uint8Array) {
  return celMap(new Map([...decodeCayenneLpp(payload)].map(([name, value]) => [name, lppToCel(value)])))
}

export interface EnvironmentNames<Variables extends Record<string, CelType>> {
  readonly variables: Variables
  /** Names without a leading dot are resolved here first. */
  readonly namespace?: string
  /** Message types besides the well-known ones. */
  readonly registry?: Registry
}

/** Returns an environment with the standard library of CEL, the functions for payloads, and these names. */
export function environmentWith<const Variables extends Record<string, CelType>>(names: EnvironmentNames<Variables>) {
  return celEnv({
    ...names,
    funcs: [
      ...bytesFunctions,
      ...conversions,
      ...extensions,
      jsonFunction,
      celFunc('cayenne_lpp_decode', [BYTES], mapType(STRING, DYN), decodeLpp),
      celFunc('_+_', [STRING, STRING], STRING, joinStrings),
      celFunc('_+_', [BYTES, BYTES], BYTES, joinBytes),
      celFunc('string', [BYTES], STRING, bytesToString),
      celFunc('bytes', [STRING], BYTES, stringToBytes),
      celFunc('timestamp', [INT], objectType(TimestampSchema), secondsToTimestamp),
    ],
  })
}

/** The environment of a device's expression. */
export const environment = environmentWith({ variables: VARIABLES })
