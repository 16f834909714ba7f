import { DatabaseError } from 'pg'
import { DomainError, ReplicationError, messageOf, type ReplicationErrorCode } from '../domain/errors.ts'

/**
 * SQLSTATE classes and codes of a server that cannot serve now: connection, authorization, database missing, read-only standby,
 * rollback for concurrency, out of resources, lock not available, operator intervention (shutdown, statement timeout).
 */
const UNAVAILABLE = /^(08|28|3D|40|53|57)|^(25006|25P03|55P03)$/

/** Codes with which Node and pg report a connection that could not be made or was lost. */
const SYSTEM_CODE = /^(E[A-Z]+|UND_ERR_\w+)$/
const LOST_CONNECTION =
  /^Connection terminated|not queryable|^timeout exceeded when trying to connect|after calling end/

/** Maps the error of an unavailable PostgreSQL to `unavailable`, with the server's message only as its cause. */
export function translateError(error: unknown): unknown {
  if (!isUnavailable(error)) return error
  const timedOut = error instanceof DatabaseError && error.code === '57014'
  return timedOut ? unavailable(error, 'The database took too long; try again') : unavailable(error)
}

export function unavailable(cause: unknown, message = 'The database is not available; try again'): DomainError {
  return new DomainError('unavailable', message, { cause })
}

const VIOLATIONS: Readonly<Record<string, 'unique' | 'foreign_key'>> = { '23505': 'unique', '23503': 'foreign_key' }

/** Returns the violated constraint, or null for any other error. */
export function violation(error: unknown) {
  if (!(error instanceof DatabaseError)) return null
  const kind = VIOLATIONS[error.code ?? '']
  return kind === undefined ? null : { kind, constraint: error.constraint }
}

function isUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseError) return UNAVAILABLE.test(error.code ?? '')
  return error instanceof Error && (SYSTEM_CODE.test(sqlState(error) ?? '') || LOST_CONNECTION.test(error.message))
}

/** Converts any error of a statement or a connection. `action` completes "could not …". */
export function replicationErrorFrom(error: unknown, action: string): ReplicationError {
  if (error instanceof ReplicationError) return error
  return new ReplicationError(codeOf(error), `could not ${action}: ${messageOf(error)}`, { cause: error })
}

export async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw replicationErrorFrom(error, action)
  }
}

/** Returns the SQLSTATE of a server's error, or the code of a system error. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

const CODES: Readonly<Record<string, ReplicationErrorCode>> = {
  '55006': 'slot_in_use',
  '42501': 'rights',
  '42704': 'slot_lost',
  '42P01': 'table_missing',
  '28000': 'login',
  '28P01': 'login',
}

/** Returns the code of an error. SQLSTATE 55000 has several causes: the C function in `routine` tells them apart in every language. */
function codeOf(error: unknown): ReplicationErrorCode {
  const state = sqlState(error)
  if (state !== '55000') return CODES[state ?? ''] ?? 'connection'
  const source = String(error) + (error instanceof Error && 'routine' in error ? String(error.routine) : '')
  if (source.includes('wal_level')) return 'wal_level'
  return /replication slot|ReplicationSlot|DecodingContext|LogicalReplication/.test(source) ? 'slot_lost' : 'connection'
}
