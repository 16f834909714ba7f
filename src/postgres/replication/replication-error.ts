import { ReplicationError, type ReplicationErrorCode } from '../../domain/errors.ts'

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
