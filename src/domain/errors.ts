import { maskUrlSecrets } from './secrets.ts'

/** What can be wrong with a request, in terms that every transport can translate. */
export type DomainErrorCode =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'unavailable'

/** The one error class of the domain and of the ports' implementations. The message is fit to be shown to a caller. */
export class DomainError extends Error {
  override readonly name = 'DomainError'
  readonly code: DomainErrorCode

  constructor(code: DomainErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A protobuf message that does not say what the domain needs. The message names the field and is fit for a dead letter's reason. */
export class MappingError extends Error {
  override readonly name = 'MappingError'
}

/**
 * ClickHouse cannot take the rows now: away, starting, overloaded, out of disk, or its tables are missing. Nothing is wrong
 * with the rows, and whether they were stored is not known: write the same batch again, later.
 */
export class ClickHouseUnavailable extends Error {
  override readonly name = 'ClickHouseUnavailable'
}

/** Why migrations could not go on. The message is one line for the operator: which file, which line, what to do. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** A row that cannot be made into an event. The message is one line that names the column, fit for a log and a dead letter. */
export class ConversionError extends Error {
  override readonly name = 'ConversionError'
}

/** Why a service cannot start. The message is one line for the operator and is all that is shown. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

/** Variables that are missing or invalid, one line for each. */
export class EnvironmentError extends StartupError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.problems = problems
  }
}

/** Why a server could not run: one line for the operator that says what, where and what to do. */
export class ServerError extends StartupError {}

/** A subject that `cdc` does not publish on. */
export class UnknownGatewayEvent extends Error {
  override readonly name = 'UnknownGatewayEvent'
}

/** The payload is not Cayenne LPP: an unknown type, or it ends inside a field. The message says where. */
export class LppError extends Error {
  override readonly name = 'LppError'
}

/** Thrown by a runner when another attempt cannot help, as with a config that says too little. */
export class GatewayConfigError extends Error {
  override readonly name = 'GatewayConfigError'
}

/** Why a dead letter can never be replayed. The message is one line. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError'
}

/**
 * Why a message was given up. `no_stream`: no stream takes the subject; `too_large`: larger than the server or the stream
 * takes; `invalid`: the subject or a header cannot be sent; `refused`: JetStream said no; `superseded`: an earlier message of
 * an ordered publisher was given up; `closed`: the publisher or the connection was closed, the message may be stored or not.
 */
export type PublishErrorCode = 'no_stream' | 'too_large' | 'invalid' | 'refused' | 'superseded' | 'closed'

/** A message that will not be stored however often it is tried. */
export class PublishError extends Error {
  override readonly name = 'PublishError'
  readonly code: PublishErrorCode

  constructor(code: PublishErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

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

/** An error and its causes as one line without passwords, for logs and stderr. The causes of a StartupError are left out. */
export function messageOf(error: unknown): string {
  const parts: string[] = []
  for (let current = error; current !== undefined && parts.length < 5; current = causeOf(current)) {
    const text = describe(current)
    if (text !== '' && !parts.some((part) => part.includes(text))) parts.push(text)
    if (current instanceof StartupError) break
  }
  return maskUrlSecrets(parts.join(': ').replaceAll(/\s+/g, ' ').trim()) || 'unknown error'
}

/** The AggregateError of a failed dial has an empty message; its first error has the reason. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return describe(error.errors[0])
  if (error instanceof Error) return error.message || error.name
  return String(error)
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}
