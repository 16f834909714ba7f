import { z } from 'zod'
import { invalid, LIMITS, optionalText } from './fields.ts'
import type { Page, PageCursor, PageRequest } from './ports.ts'
import type { TelemetryCursor, TelemetryFilter } from './telemetry.ts'

const DEFAULT_PAGE_SIZE = 50
const MAX_PAGE_SIZE = 500

export interface PageInput {
  /** 0 means 50; more than 500 counts as 500. */
  readonly pageSize: number
  /** Empty for the first page, else the `nextPageToken` of the previous page. */
  readonly pageToken: string
}

export interface PageOutput<T> {
  readonly items: readonly T[]
  readonly nextPageToken: string
}

/** Parses a page request. Throws `invalid_argument` for a negative size and for a token that no list has returned. */
export function pageRequest(input: PageInput): PageRequest {
  const size = pageSize(input.pageSize)
  return { size, after: input.pageToken === '' ? null : decodePageToken(input.pageToken) }
}

/** Returns the effective page size. Throws `invalid_argument` for a negative size. */
export function pageSize(requested: number): number {
  if (!Number.isInteger(requested) || requested < 0) {
    throw invalid(`page_size must be 0 (which means ${DEFAULT_PAGE_SIZE}) to ${MAX_PAGE_SIZE}, not ${requested}`)
  }
  return requested === 0 ? DEFAULT_PAGE_SIZE : Math.min(requested, MAX_PAGE_SIZE)
}

export function pageOutput<T>(page: Page<T>): PageOutput<T> {
  return { items: page.items, nextPageToken: page.next === null ? '' : encodePageToken(page.next) }
}

/** Truncates a page to the first items that fit into `maxBytes`, at least one, to respect the clients' message limit. */
export function limitPage<T>(
  page: Page<T>,
  maxBytes: number,
  sizeOf: (item: T) => number,
  cursorOf: (item: T) => PageCursor,
): Page<T> {
  let bytes = 0
  for (const [index, item] of page.items.entries()) {
    bytes += sizeOf(item)
    const last = page.items[index - 1]
    if (bytes > maxBytes && last !== undefined) return { items: page.items.slice(0, index), next: cursorOf(last) }
  }
  return page
}

/** Returns a token that is opaque to callers; it starts with a version, so that a later format can coexist. */
export function encodePageToken(cursor: PageCursor): string {
  return Buffer.from(`1.${cursor.createdAt}.${cursor.id}`).toString('base64url')
}

function decodePageToken(token: string): PageCursor {
  optionalText('page_token', token, LIMITS.pageToken)
  const match = /^1\.(-?\d{1,18})\.([^\0]+)$/s.exec(Buffer.from(token, 'base64url').toString())
  const [, createdAt, id] = match ?? []
  if (createdAt === undefined || id === undefined) throw invalidToken(NOT_A_TOKEN)
  const cursor = { createdAt: BigInt(createdAt), id }
  if (encodePageToken(cursor) !== token) throw invalidToken(NOT_A_TOKEN)
  return cursor
}

const NOT_A_TOKEN = 'is not a token of this list'

function invalidToken(problem: string): Error {
  return invalid(`page_token ${problem}: expected next_page_token of the previous page, or an empty value`)
}

const MAX_TELEMETRY_TOKEN_LENGTH = 16_384

const micros = z.string().regex(/^-?\d{1,19}$/)
const telemetryToken = z.tuple([
  z.literal(1),
  z.string(),
  z.string().nullable(),
  micros.nullable(),
  micros.nullable(),
  micros,
  z.string(),
  z.string(),
])

/** Returns the token of the page after the cursor; opaque to callers and valid only for the same filter. */
export function encodeTelemetryToken(filter: TelemetryFilter, cursor: TelemetryCursor): string {
  const content: z.infer<typeof telemetryToken> = [
    1,
    filter.organizationId,
    filter.endDeviceId,
    filter.from === null ? null : String(filter.from),
    filter.to === null ? null : String(filter.to),
    String(cursor.occurredAt),
    cursor.endDeviceId,
    cursor.envelopeId,
  ]
  return Buffer.from(JSON.stringify(content)).toString('base64url')
}

/** Decodes a token. Throws `invalid_argument` for anything except a token of the same filter. */
export function decodeTelemetryToken(token: string, filter: TelemetryFilter): TelemetryCursor {
  optionalText('page_token', token, MAX_TELEMETRY_TOKEN_LENGTH)
  const content = telemetryToken.safeParse(parsed(token))
  if (!content.success) throw invalidToken(NOT_A_TOKEN)
  const [, , , , , occurredAt, endDeviceId, envelopeId] = content.data
  const cursor = { occurredAt: BigInt(occurredAt), endDeviceId, envelopeId }
  if (encodeTelemetryToken(filter, cursor) !== token) {
    throw invalidToken('belongs to another query (organization_id, end_device_id, from and to must be unchanged)')
  }
  return cursor
}

function parsed(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString())
  } catch {
    return undefined
  }
}
