import {
  create,
  toBinary,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { status as Status, type sendUnaryData, type Server, type ServerUnaryCall } from '@grpc/grpc-js'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import { UnaryCall, type CallContext } from './call.ts'
import type { Observer } from './observer.ts'
import { statusOf } from './status.ts'

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
