import { DatabaseError } from 'pg'
import { DomainError } from '../domain/errors.ts'

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
