import { type DescMethod, type DescService, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import type { MethodDefinition } from '@grpc/grpc-js'

/** A method as grpc-js wants it, for server and client alike: its path, and protobuf-es as the codec. */
export function grpcMethod<M extends DescMethod>(
  method: M,
): MethodDefinition<MessageShape<M['input']>, MessageShape<M['output']>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: (message) => Buffer.from(toBinary(method.input, message)),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes) as MessageShape<M['input']>,
    responseSerialize: (message) => Buffer.from(toBinary(method.output, message)),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes) as MessageShape<M['output']>,
  }
}

/** All methods of a service, by the names that grpc-js looks handlers up with. */
export function grpcService(service: DescService): Record<string, MethodDefinition<unknown, unknown>> {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, grpcMethod(method) as MethodDefinition<unknown, unknown>]),
  )
}
