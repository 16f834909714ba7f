import { type ProcessedEnvelope, isJsonObject, type JsonObject, type JsonValue, isJsonList } from './entities.ts'
import { invalid, requiredText } from './fields.ts'
import type { Instant } from './instant.ts'

/** Which envelopes of an organization are meant. */
export interface TelemetryFilter {
  readonly organizationId: string
  /** Null for all devices of the organization. */
  readonly endDeviceId: string | null
  /** Those that occurred at this time or later; null for no such limit. */
  readonly from: Instant | null
  /** Those that occurred before this time; null for no such limit. */
  readonly to: Instant | null
}

/** The place of an envelope among all of its organization's: newest first, then by device and envelope id, descending. */
export interface TelemetryCursor {
  readonly occurredAt: Instant
  readonly endDeviceId: string
  /** Tells envelopes of one device and one moment apart. */
  readonly envelopeId: string
}

/** An envelope as a reader finds it. */
export interface StoredEnvelope {
  /** Its `data` has the fields that were asked for, as far as the envelope has them. */
  readonly envelope: ProcessedEnvelope
  readonly envelopeId: string
}

export interface TelemetryQuery extends TelemetryFilter {
  /** Fields of `data` as {@link fieldPaths} gives them; none for all. */
  readonly fieldPaths: readonly string[]
}

export interface TelemetryRange {
  /** Only what comes after this place; null to begin with the newest. */
  readonly after: TelemetryCursor | null
  /** So many at most; null for all. */
  readonly limit: number | null
  /** Milliseconds after which the store gives up; null when the reader's pace decides how long it takes. */
  readonly timeoutMs: number | null
}

export function cursorOf({ envelope, envelopeId }: StoredEnvelope): TelemetryCursor {
  return { occurredAt: envelope.occurredAt, endDeviceId: envelope.endDeviceId, envelopeId }
}

/** The most paths of one query, and the most characters of one. */
const FIELD_PATH_LIMITS = { count: 50, length: 256 } as const

/** What the store's notation of a path cannot hold. */
const UNSPEAKABLE = /[\p{Cc}`]/u

/**
 * The paths of fields that a caller wants: keys joined by dots, such as `accelerometer_1.x`. Each once, and none that lies
 * within another one of them. Throws `invalid_argument` that names the parameter for too many, and for one that is empty, too
 * long or cannot be a path.
 */
export function fieldPaths(parameter: string, paths: readonly string[]): readonly string[] {
  if (paths.length > FIELD_PATH_LIMITS.count) {
    throw invalid(`${parameter}: ${paths.length} paths are too many: at most ${FIELD_PATH_LIMITS.count}`)
  }
  for (const path of paths) {
    requiredText(parameter, path, FIELD_PATH_LIMITS.length)
    if (UNSPEAKABLE.test(path)) throw invalid(`${parameter} must not contain back quotes or control characters`)
    if (path.split('.').includes('')) {
      throw invalid(`${parameter} must be keys joined by single dots such as accelerometer_1.x, not ${path}`)
    }
  }
  const once = [...new Set(paths)]
  return once.filter((path) => !once.some((other) => path.startsWith(`${other}.`)))
}

/** The object that has these values at these paths, none of which lies within another; those without a value are left out. */
export function nested(fields: Iterable<readonly [path: string, value: JsonValue | undefined]>): JsonObject {
  const root: Branch = new Map()
  for (const [path, value] of fields) {
    if (value !== undefined) place(root, path.split('.'), value)
  }
  return objectOf(root)
}

/** The value at a path, or undefined. */
export function valueAt(data: JsonObject, path: string): JsonValue | undefined {
  let value: JsonValue | undefined = data
  for (const key of path.split('.')) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined
    value = value[key]
  }
  return value
}

type Branch = Map<string, Branch | { readonly leaf: JsonValue }>

function place(root: Branch, keys: readonly string[], value: JsonValue): void {
  let branch = root
  for (const key of keys.slice(0, -1)) {
    const known = branch.get(key)
    const next = known instanceof Map ? known : new Map()
    branch.set(key, next)
    branch = next
  }
  branch.set(keys.at(-1) ?? '', { leaf: value })
}

/** `Object.fromEntries` defines properties: `__proto__` is a key like any other to it. */
function objectOf(branch: Branch): JsonObject {
  return Object.fromEntries(
    [...branch].map(([key, inner]) => [key, inner instanceof Map ? objectOf(inner) : inner.leaf]),
  )
}

/** Bytes of a number, and of the tags and lengths around any value, at most. */
const NUMBER_BYTES = 9
const FRAME_BYTES = 12

/** The bytes that a value takes as google.protobuf.Value at most: a list of numbers takes five times its JSON. */
export function encodedBytes(value: JsonValue): number {
  if (typeof value === 'string') return FRAME_BYTES + Buffer.byteLength(value)
  if (isJsonObject(value)) {
    let bytes = FRAME_BYTES
    for (const [key, inner] of Object.entries(value)) {
      bytes += FRAME_BYTES + Buffer.byteLength(key) + encodedBytes(inner)
    }
    return bytes
  }
  if (isJsonList(value)) return value.reduce<number>((bytes, inner) => bytes + encodedBytes(inner), FRAME_BYTES)
  return FRAME_BYTES + NUMBER_BYTES
}

/**
 * The same with what lies deeper than so many levels as JSON text. A key with many dots is as many levels to the store, and
 * clients refuse messages that are nested too deep: one such envelope would take a whole page with it.
 */
export function withDepth(data: JsonObject, levels: number): JsonObject {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, valueWithDepth(value, levels - 1)]))
}

function valueWithDepth(value: JsonValue, levels: number): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return JSON.stringify(value)
  if (isJsonObject(value)) return withDepth(value, levels)
  return isJsonList(value) ? value.map((inner) => valueWithDepth(inner, levels - 1)) : value
}
