import { z } from 'zod'
import { invalid, LIMITS, optionalText } from './fields.ts'
import type { Page, PageCursor, PageRequest } from './ports.ts'
import type { TelemetryCursor, TelemetryFilter } from './telemetry.ts'

const DEFAULT_PAGE_SIZE = 50
const MAX_PAGE_SIZE = 500

/** A caller's wish for a page. */
export interface PageInput {
  /** 0 means 50; more than 500 counts as 500. */
  readonly pageSize: number
  /** Empty for the first page, else the `nextPageToken` of the page before. */
  readonly pageToken: string
}

/** A page as a caller gets it. */
export interface PageOutput<T> {
  readonly items: readonly T[]
  /** Empty on the last page. */
  readonly nextPageToken: string
}

/** Throws `invalid_argument` for a negative size and for a token that no list has given out. */
export function pageRequest(input: PageInput): PageRequest {
  const size = pageSize(input.pageSize)
  return { size, after: input.pageToken === '' ? null : decodePageToken(input.pageToken) }
}

/** How many items a page has for a caller's wish. Throws `invalid_argument` for a negative one. */
export function pageSize(wish: number): number {
  if (!Number.isInteger(wish) || wish < 0) {
    throw invalid(`page_size must be 0 (which means ${DEFAULT_PAGE_SIZE}) to ${MAX_PAGE_SIZE}, not ${wish}`)
  }
  return wish === 0 ? DEFAULT_PAGE_SIZE : Math.min(wish, MAX_PAGE_SIZE)
}

export function pageOutput<T>(page: Page<T>): PageOutput<T> {
  return { items: page.items, nextPageToken: page.next === null ? '' : encodePageToken(page.next) }
}

/**
 * The page with as many of its first items as fit into `maxBytes` (but one at least), so that an answer stays within what
 * clients accept. `cursorOf` gives the place after an item.
 */
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

/** Opaque to callers; the version in front lets a later form live beside this one. */
export function encodePageToken(cursor: PageCursor): string {
  return Buffer.from(`1.${cursor.createdAt}.${cursor.id}`).toString('base64url')
}

function decodePageToken(token: string): PageCursor {
  optionalText('page_token', token, LIMITS.pageToken)
  const match = /^1\.(-?\d{1,18})\.([^\0]+)$/s.exec(Buffer.from(token, 'base64url').toString())
  const [, createdAt, id] = match ?? []
  if (createdAt === undefined || id === undefined) throw brokenToken()
  const cursor = { createdAt: BigInt(createdAt), id }
  if (encodePageToken(cursor) !== token) throw brokenToken()
  return cursor
}

function brokenToken(): Error {
  return invalid('page_token is not a token of this list: pass next_page_token of the page before, or nothing')
}

const MAX_LENGTH = 16_384

const micros = z.string().regex(/^-?\d{1,19}$/)
/** The version in front lets a later form live beside this one; then the filter, then the place. */
const form = z.tuple([
  z.literal(1),
  z.string(),
  z.string().nullable(),
  micros.nullable(),
  micros.nullable(),
  micros,
  z.string(),
  z.string(),
])

/** A token of the page that begins after the cursor: opaque to callers, and good for the same filter only. */
export function encodeTelemetryToken(filter: TelemetryFilter, cursor: TelemetryCursor): string {
  const content: z.infer<typeof form> = [
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

/** Throws `invalid_argument` for anything but a token that was made for this very filter. */
export function decodeTelemetryToken(token: string, filter: TelemetryFilter): TelemetryCursor {
  optionalText('page_token', token, MAX_LENGTH)
  const content = form.safeParse(parsed(token))
  if (!content.success) throw broken('is not a token of this list')
  const [, , , , , occurredAt, endDeviceId, envelopeId] = content.data
  const cursor = { occurredAt: BigInt(occurredAt), endDeviceId, envelopeId }
  if (encodeTelemetryToken(filter, cursor) !== token) {
    throw broken('belongs to another query (organization_id, end_device_id, from and to must stay the same)')
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

function broken(what: string): Error {
  return invalid(`page_token ${what}: pass next_page_token of the page before, or nothing`)
}
