import { status as Status } from '@grpc/grpc-js'
import { DomainError, type DomainErrorCode, MappingError } from '../../src/domain/errors.ts'

/** How a call ended, as gRPC says it. */
export interface CallStatus {
  readonly code: Status
  readonly details: string
}

const CODES = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  already_exists: Status.ALREADY_EXISTS,
  failed_precondition: Status.FAILED_PRECONDITION,
  unavailable: Status.UNAVAILABLE,
} as const satisfies Record<DomainErrorCode, Status>

/** What a caller is told of an error: the domain's own words, or nothing of what nobody foresaw. */
export function statusOf(error: unknown): CallStatus {
  if (error instanceof DomainError) return { code: CODES[error.code], details: error.message }
  if (error instanceof MappingError) return { code: Status.INVALID_ARGUMENT, details: error.message }
  return { code: Status.INTERNAL, details: 'Internal error' }
}

/** The code's name as it is written in logs and metrics: `NOT_FOUND`. */
export function codeName(code: Status): string {
  return Status[code]
}
