import type { JsonValue } from '../../src/domain/entities.ts'

/** A cell with one of these has to be quoted (RFC 4180). */
const SPECIAL = /[",\r\n]/
/** A text that spreadsheet programs take for a formula, and run. */
const FORMULA = /^[=+\-@\t\r]/
const NUMBER = /^[+-]?\d+(\.\d+)?$/

/** One line of CSV with its end. */
export function csvLine(values: readonly (JsonValue | undefined)[]): string {
  return `${values.map(csvCell).join(',')}\r\n`
}

/**
 * A value as a cell: nothing for null and undefined, JSON for objects and lists. A text that a spreadsheet program would run
 * as a formula gets an apostrophe in front; one that is a number does not.
 */
function csvCell(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text
  return SPECIAL.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
