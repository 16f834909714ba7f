import type { EnvelopeRow } from './envelope-text.ts'

/** The maximum number of partitions, which are months, in one insert: ClickHouse's `max_partitions_per_insert_block`. */
export const MAX_MONTHS = 100
const SHORTEST_MONTH_MICROS = 28n * 24n * 3_600_000_000n
/** Times in a shorter period are in fewer months than the limit. */
const SAFE_PERIOD = BigInt(MAX_MONTHS - 2) * SHORTEST_MONTH_MICROS

/** Returns the number of the month in UTC that contains the time of a row. */
export function monthOf({ envelope: { occurredAt } }: EnvelopeRow): number {
  const date = new Date(Number(occurredAt / 1000n))
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/**
 * Returns the rows with their indices; those of a month together if there may be more months than one insert allows. Then the rows take
 * as few inserts as possible, and each month is in one or two of them. Other rows keep their order.
 */
export function inMonths(rows: readonly EnvelopeRow[]): readonly (readonly [index: number, row: EnvelopeRow])[] {
  const entries = [...rows.entries()]
  if (isSafe(rows)) return entries
  const months = new Map(rows.map((row) => [row, monthOf(row)]))
  return entries.toSorted(([, one], [, other]) => (months.get(one) ?? 0) - (months.get(other) ?? 0))
}

function isSafe(rows: readonly EnvelopeRow[]): boolean {
  let first = rows[0]?.envelope.occurredAt ?? 0n
  let last = first
  for (const { envelope } of rows) {
    if (envelope.occurredAt < first) first = envelope.occurredAt
    if (envelope.occurredAt > last) last = envelope.occurredAt
  }
  return last - first < SAFE_PERIOD
}
