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

/** One method of the server. */
export interface Route {
  /** Full name of the service. */
  readonly service: string
  register(server: Server, observer: Observer): void
}

/** Answers a request, or throws: a DomainError for what the caller can know. */
export type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: CallContext,
) => Promise<MessageInitShape<O>>

/** A method that a handler answers. What surrounds it is the same for all: codec, status, request log, metrics. */
export function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: UnaryHandler<I, O>,
): Route {
  const service = method.parent.typeName
  const name = `${service}/${method.name}`
  return {
    service,
    register(server, observe) {
      const serve = async (call: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>): Promise<void> => {
        const started = performance.now()
        const context = new UnaryCall(call)
        let ended: { readonly code: Status; readonly error?: unknown } = { code: Status.OK }
        try {
          const response = await handle(decodeMessage(method.input, call.request), context)
          context.finish()
          send(null, asBuffer(toBinary(method.output, create(method.output, response))))
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

/** Messages pass grpc-js as bytes, so that one that cannot be decoded gets our status. */
export function identity(bytes: Buffer): Buffer {
  return bytes
}

/** The same bytes, not a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What a handler knows of its call besides the request; fit to be passed on as the domain's CallOptions. */
export interface CallContext extends CallOptions {
  /** Aborts when the caller cancels, when its deadline passes, and when a shutdown runs out of time. */
  readonly signal: AbortSignal
  /** Set by the handler, for the request log. */
  organizationId: string
}

/** One call in progress. The signal is made only for the handlers that ask for it. */
class UnaryCall implements CallContext {
  organizationId = ''
  readonly #call: Pick<ServerUnaryCall<unknown, unknown>, 'once' | 'cancelled' | 'getDeadline'>
  #controller: AbortController | undefined
  #done = false
  #abandoned: Status | null = null

  constructor(call: ServerUnaryCall<unknown, unknown>) {
    this.#call = call
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      // grpc-js says `cancelled` at the end of every call.
      this.#call.once('cancelled', () => {
        if (!this.#done) controller.abort()
      })
      if (this.#call.cancelled) controller.abort()
    }
    return this.#controller.signal
  }

  /** How the call ended before it was finished, or null. */
  get abandoned(): Status | null {
    return this.#abandoned
  }

  /** To be called before the answer is sent: after that, grpc-js calls every call cancelled. */
  finish(): void {
    this.#done = true
    if (!this.#call.cancelled) return
    const late = Number(this.#call.getDeadline()) <= Date.now()
    this.#abandoned = late ? Status.DEADLINE_EXCEEDED : Status.CANCELLED
  }
}

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
