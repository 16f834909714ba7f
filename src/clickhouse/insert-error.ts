import { ClickHouseError } from '@clickhouse/client'

/**
 * The cause of a failed insert. `rows`: at least one row is invalid. `unknown`: possibly a row; retry with fewer rows to find out.
 * `server`: ClickHouse cannot accept any rows at the moment. `internal`: this program failed before it sent the rows.
 */
export type InsertErrorClass = 'rows' | 'unknown' | 'server' | 'internal'

/** Errors of reading, converting and checking values. */
const ROW_ERRORS =
  /^(INCORRECT_DATA|TYPE_MISMATCH|CANNOT_CONVERT_TYPE|CANNOT_READ_ALL_DATA|CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN|ARGUMENT_OUT_OF_BOUND|VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE|DECIMAL_OVERFLOW|VIOLATED_CONSTRAINT|TOO_LARGE_STRING_SIZE|TOO_LARGE_ARRAY_SIZE|TOO_DEEP_RECURSION|CANNOT_PARSE_\w*)$/

const SERVER_ERRORS =
  /^(UNKNOWN_(TABLE|DATABASE|USER|STATUS_OF_INSERT|SETTING)|NO_SUCH_COLUMN_IN_TABLE|AUTHENTICATION_FAILED|REQUIRED_PASSWORD|WRONG_PASSWORD|ACCESS_DENIED|READONLY|TABLE_IS_READ_ONLY|TABLE_IS_DROPPED|MEMORY_LIMIT_EXCEEDED|NOT_ENOUGH_SPACE|NOT_ENOUGH_SPACE_FOR_MOVE|TOO_MANY_PARTS|TOO_MANY_SIMULTANEOUS_QUERIES|TIMEOUT_EXCEEDED|SOCKET_TIMEOUT|NETWORK_ERROR|KEEPER_EXCEPTION|TOO_FEW_LIVE_REPLICAS|UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE|CANNOT_SCHEDULE_TASK|CANNOT_ALLOCATE_MEMORY|QUERY_WAS_CANCELLED|QUOTA_EXCEEDED|ABORTED|CANNOT_(OPEN|WRITE|READ|CREATE|FSYNC)_\w*|FAULT_INJECTED|NO_ZOOKEEPER|ALL_CONNECTION_TRIES_FAILED|LIMIT_EXCEEDED|TOO_MANY_BYTES|UNKNOWN_EXCEPTION|STD_EXCEPTION|POCO_EXCEPTION)$/

/** Errors of JavaScript itself; errors of connections are instances of Error. */
const INTERNAL_ERRORS = [RangeError, TypeError, SyntaxError, ReferenceError, EvalError, URIError] as const
/** Codes of Node and the system for a string that is too long and memory that cannot be allocated. */
const INTERNAL_CODES: ReadonlySet<unknown> = new Set(['ERR_STRING_TOO_LONG', 'ERR_BUFFER_TOO_LARGE', 'ENOMEM'])

/**
 * Classifies an error. Other errors than exceptions of ClickHouse and errors of this program (no connection, timeout, a proxy's
 * response) are of class `server`.
 */
export function classifyInsertError(error: unknown): InsertErrorClass {
  if (isInternal(error)) return 'internal'
  if (!(error instanceof ClickHouseError)) return 'server'
  const type = error.type ?? ''
  // The rows span more months than one insert allows; fewer rows succeed. Otherwise the name means that merges lag.
  if (type === 'TOO_MANY_PARTS' && /too many partitions/i.test(error.message)) return 'rows'
  if (ROW_ERRORS.test(type)) return 'rows'
  return SERVER_ERRORS.test(type) ? 'server' : 'unknown'
}

function isInternal(error: unknown): boolean {
  if (INTERNAL_ERRORS.some((type) => error instanceof type)) return true
  return error instanceof Error && 'code' in error && INTERNAL_CODES.has(error.code)
}

/** Returns ClickHouse's message about a row on one line, without the row and without internals of the engine. */
export function rejectionReason(error: unknown): string {
  if (!(error instanceof ClickHouseError)) return String(error)
  const message = error.message.replace(/: \(at row \d+\).*$/s, '').replaceAll(/\s+/g, ' ')
  const type = error.type === undefined ? '' : ` (${error.type})`
  return `${message.slice(0, 500).trim()}${type}`
}
