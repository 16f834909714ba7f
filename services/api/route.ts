import {
  create,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { status as Status, type sendUnaryData, type Server, type ServerUnaryCall } from '@grpc/grpc-js'
import { DomainError, type DomainErrorCode, MappingError } from '../../src/domain/errors.ts'
import type { CallOptions } from '../../src/domain/ports.ts'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import type { Observer } from './observer.ts'
import type { UnreadAnswers } from './unread-answers.ts'

/** One method of the server. */
export interface Route {
  /** Full name of the service. */
  readonly service: string
  register(server: Server, observer: Observer, unread: UnreadAnswers): void
}

/**
 * Returns a unary method with codec, status, request log and metrics around its handler. A DomainError of the handler is
 * returned to the caller; any other error is not.
 */
export function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: (request: MessageShape<I>, call: CallContext) => Promise<MessageInitShape<O>>,
): Route {
  const service = method.parent.typeName
  const name = `${service}/${method.name}`
  return {
    service,
    register(server, observe, unread) {
      const serve = async (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>): Promise<void> => {
        const started = performance.now()
        const context = new CallContext(call)
        let ended: { readonly code: Status; readonly error?: unknown } = { code: Status.OK }
        try {
          const response = await handle(decodeMessage(method.input, call.request), context)
          const answer = asBuffer(toBinary(method.output, create(method.output, response)))
          unread.add(call, answer.length)
          context.finish()
          send(null, answer)
        } catch (error) {
          context.finish()
          const status = statusOf(error)
          ended = { code: status.code, error }
          send(status)
        }
        const code = context.abandoned ?? ended.code
        const durationMs = performance.now() - started
        observe({ ...ended, method: name, code, durationMs, organizationId: context.organizationId })
      }
      server.register(
        `/${name}`,
        (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>) => void serve(call, send),
        identity,
        identity,
        'unary',
      )
    },
  }
}

/** Passes messages through grpc-js as bytes, so that this service sets the status of a decoding error. */
export function identity(bytes: Buffer): Buffer {
  return bytes
}

/** Returns the same bytes without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A running call, which is passed to the domain as its CallOptions. Creates its signal only on demand. */
export class CallContext implements CallOptions {
  /** The organization in the request log; set by the handler. */
  organizationId = ''
  /** The status of a call that was cancelled before `finish`, or null. */
  abandoned: Status | null = null
  readonly #call: Pick<ServerUnaryCall<unknown, unknown>, 'once' | 'cancelled' | 'getDeadline'>
  #controller: AbortController | undefined
  #done = false

  constructor(call: ServerUnaryCall<unknown, unknown>) {
    this.#call = call
  }

  /** Aborts when the caller cancels, at its deadline, and when a shutdown cancels the call. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      // grpc-js emits `cancelled` at the end of every call.
      this.#call.once('cancelled', () => {
        if (!this.#done) controller.abort()
      })
      if (this.#call.cancelled) controller.abort()
    }
    return this.#controller.signal
  }

  /** Records the end of the call, before the answer is sent: afterwards grpc-js marks every call as cancelled. */
  finish(): void {
    this.#done = true
    if (!this.#call.cancelled) return
    const late = Number(this.#call.getDeadline()) <= Date.now()
    this.abandoned = late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED
  }
}

const CODES = {
  invalid_argument: Status.INVALID_ARGUMENT,
  not_found: Status.NOT_FOUND,
  already_exists: Status.ALREADY_EXISTS,
  failed_precondition: Status.FAILED_PRECONDITION,
  aborted: Status.ABORTED,
  unavailable: Status.UNAVAILABLE,
} as const satisfies Record<DomainErrorCode, Status>

/** Returns the status for a caller: the message of a domain error, and no details of an unexpected error. */
export function statusOf(error: unknown): { readonly code: Status; readonly details: string } {
  if (error instanceof DomainError) return { code: CODES[error.code], details: error.message }
  if (error instanceof MappingError) return { code: Status.INVALID_ARGUMENT, details: error.message }
  return { code: Status.INTERNAL, details: 'Internal error' }
}
