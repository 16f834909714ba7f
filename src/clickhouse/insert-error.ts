import { ClickHouseError } from '@clickhouse/client'

/**
 * Who is to blame for a failed insert. `rows`: at least one of them, surely. `unknown`: an error that may come from a row, to
 * be found out with fewer of them. `server`: it cannot take rows now, whichever they are.
 */
export type Blame = 'rows' | 'unknown' | 'server'

/** Errors of reading, converting and checking values, by ClickHouse's names. */
const OF_ROWS: ReadonlySet<string> = new Set([
  'INCORRECT_DATA',
  'TYPE_MISMATCH',
  'CANNOT_CONVERT_TYPE',
  'CANNOT_READ_ALL_DATA',
  'CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN',
  'ARGUMENT_OUT_OF_BOUND',
  'VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE',
  'DECIMAL_OVERFLOW',
  'VIOLATED_CONSTRAINT',
  'TOO_LARGE_STRING_SIZE',
  'TOO_LARGE_ARRAY_SIZE',
  'TOO_DEEP_RECURSION',
])

const OF_SERVER =
  /^(UNKNOWN_(TABLE|DATABASE|USER|STATUS_OF_INSERT|SETTING)|NO_SUCH_COLUMN_IN_TABLE|AUTHENTICATION_FAILED|REQUIRED_PASSWORD|WRONG_PASSWORD|ACCESS_DENIED|READONLY|TABLE_IS_READ_ONLY|TABLE_IS_DROPPED|MEMORY_LIMIT_EXCEEDED|NOT_ENOUGH_SPACE|NOT_ENOUGH_SPACE_FOR_MOVE|TOO_MANY_PARTS|TOO_MANY_SIMULTANEOUS_QUERIES|TIMEOUT_EXCEEDED|SOCKET_TIMEOUT|NETWORK_ERROR|KEEPER_EXCEPTION|TOO_FEW_LIVE_REPLICAS|UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE|CANNOT_SCHEDULE_TASK|CANNOT_ALLOCATE_MEMORY|QUERY_WAS_CANCELLED|QUOTA_EXCEEDED|ABORTED|CANNOT_(OPEN|WRITE|READ|CREATE|FSYNC)_\w*|FAULT_INJECTED|NO_ZOOKEEPER|ALL_CONNECTION_TRIES_FAILED|LIMIT_EXCEEDED|TOO_MANY_BYTES|UNKNOWN_EXCEPTION|STD_EXCEPTION|POCO_EXCEPTION)$/

/** Whatever is no ClickHouse exception (no connection, a time-out, a proxy's answer) is the server's. */
export function blameFor(error: unknown): Blame {
  if (!(error instanceof ClickHouseError)) return 'server'
  const type = error.type ?? ''
  // Rows of more months than one insert may bring: with fewer rows it passes. Otherwise the same name means merges lag behind.
  if (type === 'TOO_MANY_PARTS' && /too many partitions/i.test(error.message)) return 'rows'
  if (OF_ROWS.has(type) || type.startsWith('CANNOT_PARSE_')) return 'rows'
  return OF_SERVER.test(type) ? 'server' : 'unknown'
}

/** ClickHouse's words about a row, on one line, without the row itself and the engine's inner workings. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const said = error.message.replace(/: \(at row \d+\).*$/s, '').replaceAll(/\s+/g, ' ')
  const type = error instanceof ClickHouseError && error.type !== undefined ? ` (${error.type})` : ''
  return `ClickHouse refuses the row: ${said.slice(0, 500).trim()}${type}`
}
