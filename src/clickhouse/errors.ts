/**
 * ClickHouse cannot take the rows now: away, starting, overloaded, out of disk, or its tables are missing. Nothing is wrong
 * with the rows, and whether they were stored is not known: write the same batch again, later.
 */
export class ClickHouseUnavailable extends Error {
  override readonly name = 'ClickHouseUnavailable'
}
