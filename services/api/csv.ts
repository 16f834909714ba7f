import type { JsonValue } from '../../src/domain/entities.ts'
import { invalid } from '../../src/domain/fields.ts'
import { fromRfc3339, type Instant } from '../../src/domain/instant.ts'
import type { TelemetryExportInput } from '../../src/domain/telemetry-service.ts'

const PATH = /^\/v1\/organizations\/([^/]*)\/envelopes\.csv$/
const KNOWN = ['end_device_id', 'from', 'to', 'field', 'uplink', 'warnings', 'limit']
const BASE = 'http://localhost'
const MAX_LIMIT = 1e9

/** Returns the URL of `…/envelopes.csv`, or null for any other path. */
export function csvUrl(requestUrl: string | undefined): URL | null {
  const text = requestUrl ?? '/'
  if (!URL.canParse(text, BASE)) return null
  const url = new URL(text, BASE)
  return PATH.test(url.pathname) ? url : null
}

export interface CsvRequest extends TelemetryExportInput {
  /** Whether there is a column for the warnings of the codec. */
  readonly withWarnings: boolean
}

/** Parses the export that such a URL requests. Throws `invalid_argument` with the name of the parameter. */
export function csvRequest(url: URL): CsvRequest {
  const { searchParams } = url
  const unknown = [...searchParams.keys()].find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) {
    throw invalid(`${shown(unknown)} is not a parameter of this address; the parameters are ${KNOWN.join(', ')}`)
  }
  return {
    organizationId: organizationId(url.pathname),
    endDeviceId: once(searchParams, 'end_device_id') ?? '',
    from: time(searchParams, 'from'),
    to: time(searchParams, 'to'),
    fieldPaths: searchParams.getAll('field'),
    withUplink: flag(searchParams, 'uplink'),
    withWarnings: flag(searchParams, 'warnings'),
    limit: limit(searchParams),
  }
}

function organizationId(path: string): string {
  const [, encoded = ''] = PATH.exec(path) ?? []
  try {
    return decodeURIComponent(encoded)
  } catch (error) {
    throw invalid(`organization_id is not properly percent-encoded: ${shown(encoded)}`, { cause: error })
  }
}

function once(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name)
  if (values.length > 1) throw invalid(`${name} is given ${values.length} times; give it once`)
  return values[0]
}

function time(parameters: URLSearchParams, name: string): Instant | null {
  const text = once(parameters, name)
  if (text === undefined) return null
  const instant = fromRfc3339(text)
  if (instant !== null) return instant
  const hint = text.includes(' ') ? ' (in a URL a + is written %2B)' : ''
  throw invalid(`${name} must be a time such as 2026-01-02T03:04:05Z, not ${shown(text)}${hint}`)
}

function flag(parameters: URLSearchParams, name: string): boolean {
  const text = once(parameters, name) ?? 'false'
  if (text === 'true' || text === 'false') return text === 'true'
  throw invalid(`${name} must be true or false, not ${shown(text)}`)
}

function limit(parameters: URLSearchParams): number | null {
  const text = once(parameters, 'limit')
  if (text === undefined) return null
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= MAX_LIMIT) return value
  throw invalid(`limit must be a whole number from 1 to ${MAX_LIMIT}, not ${shown(text)}`)
}

/** Shortens a text to one line. */
function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}

/** Characters of cells that must be quoted (RFC 4180). */
const SPECIAL = /[",\r\n]/
/** Text that spreadsheet programs evaluate as a formula. */
const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^[+-]?\d+(\.\d+)?$/

/** Renders a line of CSV with its line end. */
export function csvLine(values: readonly (JsonValue | undefined)[]): string {
  return `${values.map(csvCell).join(',')}\r\n`
}

/**
 * Renders a value as a cell: empty for null and undefined, JSON for objects and lists. Text that a spreadsheet program would
 * evaluate as a formula receives a leading apostrophe, unless it is a number.
 */
function csvCell(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text
  return SPECIAL.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
