/** What can keep changes from flowing. Each has its one line for the operator in the error's message. */
export type ReplicationErrorCode =
  /** The server does not write logical WAL. */
  | 'wal_level'
  /** The role may not replicate, or may not create or alter the publication. */
  | 'rights'
  /** User or password refused. */
  | 'login'
  /** A captured table is not there (yet). */
  | 'table_missing'
  /** The publication lacks what is needed and cannot be altered. */
  | 'publication'
  /** Old rows do not carry the columns that are needed of them. */
  | 'replica_identity'
  /** A slot of that name serves something else. */
  | 'slot_foreign'
  /** The slot was dropped or invalidated: changes are lost. */
  | 'slot_lost'
  /** Another instance holds the slot. */
  | 'slot_in_use'
  /** The slot belongs to another cluster than the one seen before. */
  | 'other_cluster'
  /** The server is away, starting, stopping, or broke the connection. */
  | 'connection'
  /** The server sent what this program does not understand. */
  | 'protocol'
  /** Whoever takes the changes refused one. */
  | 'sink'

const RETRYABLE: ReadonlySet<ReplicationErrorCode> = new Set([
  'table_missing',
  'slot_in_use',
  'connection',
  'protocol',
  'sink',
])

/** The one error of replication. */
export class ReplicationError extends Error {
  override readonly name = 'ReplicationError'
  readonly code: ReplicationErrorCode

  constructor(code: ReplicationErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** Whether trying again can help without a person doing something first. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }
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
