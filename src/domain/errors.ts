import { maskUrlSecrets } from './secrets.ts'

class CodedError<Code extends string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Error codes of requests, which every transport can translate. */
export type DomainErrorCode =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'failed_precondition'
  | 'aborted'
  | 'unavailable'

/** The error of the domain and of the ports' implementations. The message is suitable for a caller. */
export class DomainError extends CodedError<DomainErrorCode> {
  override readonly name = 'DomainError'
}

/** A message that cannot be mapped to the domain. The message names the field and is suitable as a dead letter's reason. */
export class MappingError extends Error {
  override readonly name = 'MappingError'
}

/**
 * ClickHouse cannot store rows now: it is down, starting, overloaded or out of disk space, or its tables are missing. The rows
 * are valid, and whether they were stored is unknown: retry the same batch later.
 */
export class ClickHouseUnavailable extends Error {
  override readonly name = 'ClickHouseUnavailable'
}

/** A failed migration. The message is one line with file, line and remedy. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** A row that cannot be converted to an event. The message is one line that names the column. */
export class ConversionError extends Error {
  override readonly name = 'ConversionError'
}

/** Prevents the start of a service or an embedded server. The message is one line for the operator. */
export class StartupError extends Error {
  override readonly name = 'StartupError'
}

export class EnvironmentError extends StartupError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('; '))
    this.problems = problems
  }
}

/** The payload is not Cayenne LPP: unknown type, or truncated field. The message has the position. */
export class LppError extends Error {
  override readonly name = 'LppError'
}

/** Thrown by a runner when a retry cannot help, such as for an invalid config. */
export class GatewayConfigError extends Error {
  override readonly name = 'GatewayConfigError'
}

/** A gateway has ended at this instance, or its lease is lost: another instance may run it, so this one must not act for it. */
export class GatewayNotOwned extends Error {
  override readonly name = 'GatewayNotOwned'
}

/** A dead letter can never be replayed. The message is one line. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError'
}

/**
 * `no_stream`: no stream captures the subject. `too_large`: exceeds the limit of the server or the stream. `invalid`: the subject
 * or a header cannot be sent. `refused`: rejected by JetStream. `superseded`: an earlier message of an ordered publisher failed.
 * `closed`: the publisher or the connection was closed, and whether the message is stored is unknown.
 */
export type PublishErrorCode = 'no_stream' | 'too_large' | 'invalid' | 'refused' | 'superseded' | 'closed'

/** A message that retries cannot store. */
export class PublishError extends CodedError<PublishErrorCode> {
  override readonly name = 'PublishError'
}

/** Error codes of replication. The message of the error is one line for the operator. */
export type ReplicationErrorCode =
  /** The server does not write logical WAL. */
  | 'wal_level'
  /** The role lacks the right to replicate, or to create or alter the publication. */
  | 'rights'
  /** The server rejected user or password. */
  | 'login'
  /** A captured table does not exist yet. */
  | 'table_missing'
  /** The publication is incomplete and cannot be altered. */
  | 'publication'
  /** Old rows lack required columns. */
  | 'replica_identity'
  /** The slot belongs to another plugin or database. */
  | 'slot_foreign'
  /** The slot was dropped or invalidated: changes are lost. */
  | 'slot_lost'
  /** Another instance uses the slot. */
  | 'slot_in_use'
  /** The slot belongs to a different cluster than before. */
  | 'other_cluster'
  /** The server is down, starting or stopping, or closed the connection. */
  | 'connection'
  /** The server sent an unknown message. */
  | 'protocol'
  /** The receiver rejected a change. */
  | 'sink'

const RETRYABLE: ReadonlySet<ReplicationErrorCode> = new Set([
  'table_missing',
  'slot_in_use',
  'connection',
  'protocol',
  'sink',
])

export class ReplicationError extends CodedError<ReplicationErrorCode> {
  override readonly name = 'ReplicationError'

  /** True if a retry can help without an operator. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }
}

/** Returns an error and its causes in one line without passwords. The causes of a StartupError are omitted. */
export function messageOf(error: unknown): string {
  const parts: string[] = []
  for (let current = error; current !== undefined && parts.length < 5; current = causeOf(current)) {
    const text = describe(current)
    if (text !== '' && !parts.some((part) => part.includes(text))) parts.push(text)
    if (current instanceof StartupError) break
  }
  return maskUrlSecrets(parts.join(': ').replaceAll(/\s+/g, ' ').trim()) || 'unknown error'
}

/** Returns the message of an error; the AggregateError of a failed dial has an empty message, its first error the reason. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return describe(error.errors[0])
  if (error instanceof Error) return error.message || error.name
  return String(error)
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}
