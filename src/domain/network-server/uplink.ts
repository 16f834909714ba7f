import { z } from 'zod'
import type { JsonObject, JsonValue, Uplink } from '../entities.ts'
import { DomainError, MappingError } from '../errors.ts'
import { normalExternalId } from '../external-id.ts'
import { fromRfc3339, type Instant } from '../instant.ts'

/** An uplink of a device as a network server publishes it. */
export interface NetworkUplink {
  /** The normal form of the device's id in the network server. */
  readonly externalId: string
  readonly payload: Uint8Array
  /** The network server's time of receipt; null if it sends none that can be read. */
  readonly receivedAt: Instant | null
  /** The same for every copy of this uplink; null if the network server sends nothing that identifies it. */
  readonly uplinkId: string | null
  readonly uplink: Required<Uplink>
}

/** Decodes the body of a message. Throws a MappingError that names the field. */
export type UplinkDecoder = (body: Uint8Array) => NetworkUplink

const MAX_UINT32 = 2 ** 32 - 1
const MAX_PORT = 255

// Both systems write protobuf as JSON, which omits default values and may write null for them (protobuf.dev, ProtoJSON).
export const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '')
export const number = z
  .number()
  .nullish()
  .transform((value) => value ?? 0)
export const frameCounter = wholeNumber(MAX_UINT32)
export const port = wholeNumber(MAX_PORT)

function wholeNumber(largest: number) {
  const error = `expected a whole number from 0 to ${largest}`
  return z
    .int({ error })
    .min(0, { error })
    .max(largest, { error })
    .nullish()
    .transform((value) => value ?? 0)
}

export function list<T extends z.ZodType>(item: T) {
  return z
    .array(item)
    .nullish()
    .transform((value) => value ?? [])
}

/** Bytes in base64: ProtoJSON allows both alphabets, with or without padding. */
export const bytes = text.transform((value, context) => {
  const digits = value.replace(/={1,2}$/, '')
  if (/^[A-Za-z0-9+/_-]*$/.test(digits) && digits.length % 4 !== 1) return Buffer.from(digits, 'base64')
  context.issues.push({ code: 'custom', message: 'expected base64', input: value })
  return z.NEVER
})

/** Parses JSON of a version of a network server. Throws a MappingError. */
export function parseUplink<T extends z.ZodType>(schema: T, name: string, body: Uint8Array): z.output<T> {
  const parsed = schema.safeParse(jsonOf(name, body))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new MappingError(`not an uplink of ${name}: ${[...(issue?.path ?? [])].join('.')}: ${issue?.message}`)
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function jsonOf(name: string, body: Uint8Array): JsonValue {
  try {
    const value: JsonValue = JSON.parse(decoder.decode(body))
    return value
  } catch (error) {
    throw new MappingError(`not an uplink of ${name}: not JSON; set its MQTT integration to JSON`, { cause: error })
  }
}

/** Throws a MappingError for an id that a device cannot have. */
export function externalIdOf(field: string, value: string): string {
  try {
    return normalExternalId(field, value)
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    throw new MappingError(error.message, { cause: error })
  }
}

export function timeOf(value: string): Instant | null {
  return value === '' ? null : fromRfc3339(value)
}

interface Reception {
  readonly rssi: number
  readonly snr: number
}

/** Returns the reception with the highest snr, and among these with the highest rssi. */
export function bestOf<R extends Reception>(receptions: readonly R[]): R | undefined {
  return receptions.toSorted((a, b) => b.snr - a.snr || b.rssi - a.rssi)[0]
}

/** Returns the fields that are not empty. */
export function present(fields: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const entries = Object.entries(fields).filter(
    (entry): entry is [string, JsonValue] => entry[1] !== undefined && entry[1] !== '',
  )
  return Object.fromEntries(entries)
}
