import type { QueryResultRow } from 'pg'
import { DomainError } from '../domain/errors.ts'
import type { CallOptions } from '../domain/ports.ts'
import type { PostgresDatabase, Statement } from './database.ts'
import { violation } from './errors.ts'

/**
 * The organization $1, if it is not deleted, held so that it cannot be deleted before the statement's transaction ends; a
 * deletion under way is waited for. (FOR KEY SHARE, which the foreign key takes, would let a soft delete pass.)
 */
export const LIVE_OWNER = 'WITH owner AS (SELECT id FROM organizations WHERE id = $1 AND deleted_at IS NULL FOR SHARE)'

/** Moves even when two changes fall into one microsecond or the clock steps back. */
export const NEXT_UPDATED_AT = "GREATEST(clock_timestamp(), updated_at + interval '1 microsecond')"

interface Owned {
  /** As it begins a sentence: `Gateway`. */
  readonly kind: string
  readonly id: string
  readonly organizationId: string
}

/** Runs an INSERT that begins with LIVE_OWNER. Throws `not_found` without a live organization, `already_exists` for the id. */
export async function createOwned<R extends QueryResultRow>(
  database: PostgresDatabase,
  statement: Statement,
  values: readonly unknown[],
  { kind, id, organizationId }: Owned,
  options?: CallOptions,
): Promise<R> {
  try {
    const [row] = await database.query<R>(statement, values, options)
    if (row !== undefined) return row
  } catch (error) {
    const violated = violation(error)
    if (violated === 'unique')
      throw new DomainError('already_exists', `${kind} already exists: ${id}`, { cause: error })
    if (violated === null) throw error
  }
  throw new DomainError('not_found', `Organization not found: ${organizationId}`)
}
