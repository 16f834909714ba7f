import { DatabaseError } from 'pg'
import { DomainError, ReplicationError, type ReplicationErrorCode } from '../domain/errors.ts'

/**
 * SQLSTATE classes and codes that say that the server cannot serve now: connection, authorization, database missing, read-only
 * standby, rollback for concurrency, out of resources, lock not available, operator intervention (shutdown, time limit).
 */
const UNAVAILABLE = /^(08|28|3D|40|53|57)|^(25006|25P03|55P03)$/

/** How Node and pg report a connection that could not be made or was lost. */
const SYSTEM_CODE = /^(E[A-Z]+|UND_ERR_\w+)$/
const LOST_CONNECTION =
  /^Connection terminated|not queryable|^timeout exceeded when trying to connect|after calling end/

/** A PostgreSQL that does not serve becomes `unavailable`, with the server's words as its cause only. Others pass unchanged. */
export function translateError(error: unknown): unknown {
  if (!isUnavailable(error)) return error
  const timedOut = error instanceof DatabaseError && error.code === '57014'
  return timedOut ? unavailable(error, 'The database took too long; try again') : unavailable(error)
}

export function unavailable(cause: unknown, message = 'The database is not available; try again'): DomainError {
  return new DomainError('unavailable', message, { cause })
}

/** The name of the violated constraint's kind, or null for any other error. */
export function violation(error: unknown): 'unique' | 'foreign_key' | null {
  if (!(error instanceof DatabaseError)) return null
  if (error.code === '23505') return 'unique'
  return error.code === '23503' ? 'foreign_key' : null
}

function isUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseError) return UNAVAILABLE.test(error.code ?? '')
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return SYSTEM_CODE.test(code) || LOST_CONNECTION.test(error.message)
}

/** Normalises whatever a statement or a connection failed with. `doing` completes "could not …". */
export function replicationErrorFrom(error: unknown, doing: string): ReplicationError {
  if (error instanceof ReplicationError) return error
  const reason = error instanceof Error ? reasonOf(error) : String(error)
  return new ReplicationError(codeOf(error), `could not ${doing}: ${reason}`, { cause: error })
}

/** What `run` fails with, normalised: see {@link replicationErrorFrom}. */
export async function attempt<T>(doing: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw replicationErrorFrom(error, doing)
  }
}

/** The SQLSTATE of a server's error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Node gives the errors of several addresses as one AggregateError without a message. */
function reasonOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(String).join('; ')
  return error.message
}

const CODES: Readonly<Record<string, ReplicationErrorCode>> = {
  '55006': 'slot_in_use',
  '42501': 'rights',
  '42704': 'slot_lost',
  '28000': 'login',
  '28P01': 'login',
}

/** SQLSTATE 55000 says only that something is not in the right state; where it was raised says what. Texts may be translated. */
function codeOf(error: unknown): ReplicationErrorCode {
  const state = sqlState(error)
  if (state !== '55000') return CODES[state ?? ''] ?? 'connection'
  const where = String(error) + routineOf(error)
  if (where.includes('wal_level')) return 'wal_level'
  return /replication slot|ReplicationSlot|DecodingContext|LogicalReplication/.test(where) ? 'slot_lost' : 'connection'
}

function routineOf(error: unknown): string {
  return error instanceof Error && 'routine' in error ? String(error.routine) : ''
}
