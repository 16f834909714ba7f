import { isJsonList, isJsonObject, type JsonObject, type JsonValue, type ProcessedEnvelope } from './entities.ts'
import { invalid, requiredText } from './fields.ts'
import type { Instant } from './instant.ts'

export interface TelemetryFilter {
  readonly organizationId: string
  /** Null for all devices of the organization. */
  readonly endDeviceId: string | null
  /** Inclusive; null for no limit. */
  readonly from: Instant | null
  /** Exclusive; null for no limit. */
  readonly to: Instant | null
}

/** The position of an envelope in its organization: ordered by time, device and envelope id, all descending. */
export interface TelemetryCursor {
  readonly occurredAt: Instant
  readonly endDeviceId: string
  /** Distinguishes envelopes of one device and one time. */
  readonly envelopeId: string
}

export interface StoredEnvelope {
  /** Its `data` has the requested fields that exist. */
  readonly envelope: ProcessedEnvelope
  readonly envelopeId: string
}

export interface TelemetryQuery extends TelemetryFilter {
  /** Result of {@link fieldPaths}; empty for all fields of `data`. */
  readonly fieldPaths: readonly string[]
  /** Whether to read the properties of uplinks. */
  readonly withUplink: boolean
}

export interface TelemetryRange {
  /** Exclusive start; null starts with the newest. */
  readonly after: TelemetryCursor | null
  /** Maximum number of envelopes; null for all. */
  readonly limit: number | null
  /** Time limit of the store; null for exports, whose duration depends on the reader. */
  readonly timeoutMs: number | null
}

export function cursorOf({ envelope, envelopeId }: StoredEnvelope): TelemetryCursor {
  return { occurredAt: envelope.occurredAt, endDeviceId: envelope.endDeviceId, envelopeId }
}

/** Maximum number of paths per query, and of characters per path. */
const FIELD_PATH_LIMITS = { count: 50, length: 256 } as const

/** Characters that the store's path syntax does not allow. */
const UNSUPPORTED = /[\p{Cc}`]/u

/**
 * Validates field paths, which are keys joined by dots such as `accelerometer_1.x`, and removes duplicates and paths inside
 * other paths. Throws `invalid_argument` naming the parameter for too many or invalid paths.
 */
export function fieldPaths(parameter: string, paths: readonly string[]): readonly string[] {
  if (paths.length > FIELD_PATH_LIMITS.count) {
    throw invalid(`${parameter}: ${paths.length} paths are too many: at most ${FIELD_PATH_LIMITS.count}`)
  }
  for (const path of paths) {
    requiredText(parameter, path, FIELD_PATH_LIMITS.length)
    if (UNSUPPORTED.test(path)) throw invalid(`${parameter} must not contain back quotes or control characters`)
    if (path.split('.').includes('')) {
      throw invalid(`${parameter} must be keys joined by single dots such as accelerometer_1.x, not ${path}`)
    }
  }
  const once = [...new Set(paths)]
  return once.filter((path) => !once.some((other) => path.startsWith(`${other}.`)))
}

/** Builds the object with these values at these paths, none of which is inside another; omits undefined values. */
export function nested(fields: Iterable<readonly [path: string, value: JsonValue | undefined]>): JsonObject {
  const root: Branch = new Map()
  for (const [path, value] of fields) {
    if (value !== undefined) place(root, path.split('.'), value)
  }
  return objectOf(root)
}

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

/** Builds an object. `Object.fromEntries` defines properties, so `__proto__` is an ordinary key. */
function objectOf(branch: Branch): JsonObject {
  return Object.fromEntries(
    [...branch].map(([key, inner]) => [key, inner instanceof Map ? objectOf(inner) : inner.leaf]),
  )
}

/** Maximum bytes of a number, and of the tags and lengths around a value. */
const NUMBER_BYTES = 9
const FRAME_BYTES = 12

/** Returns the maximum size of a value as google.protobuf.Value; a list of numbers takes five times its JSON. */
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
 * Replaces values nested deeper than `levels` with JSON text. The store turns a key with many dots into as many levels, and
 * clients reject messages nested too deep: one such envelope would make its whole page unreadable.
 */
export function limitDepth(data: JsonObject, levels: number): JsonObject {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, limitValueDepth(value, levels - 1)]))
}

function limitValueDepth(value: JsonValue, levels: number): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) return JSON.stringify(value)
  if (isJsonObject(value)) return limitDepth(value, levels)
  return isJsonList(value) ? value.map((inner) => limitValueDepth(inner, levels - 1)) : value
}
