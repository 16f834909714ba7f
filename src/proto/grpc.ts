import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  type DescMethod,
  fromBinary,
  toBinary,
} from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError, type MethodDefinition } from '@grpc/grpc-js'

/** Calls unary methods over plaintext HTTP/2. */
export class GrpcClient {
  readonly #client: Client

  /** `address` is host:port. */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure())
  }

  /** Calls a method; rejects with grpc-js' ServiceError, which has the server's `code` and `details`. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(method)
    const message = create(method.input, request)
    const deadline = Date.now() + (options.timeoutMs ?? 10_000)
    return new Promise((resolve, reject) => {
      const onResponse = (error: ServiceError | null, response?: MessageShape<O>): void => {
        if (error || response === undefined) reject(error ?? new Error(`${path}: no response`))
        else resolve(response)
      }
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, { deadline }, onResponse)
    })
  }

  close(): void {
    this.#client.close()
  }
}

/** Returns the grpc-js definition of a method, for server and client, with protobuf-es as the codec. */
export function grpcMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: (message) => Buffer.from(toBinary<DescMessage>(method.input, message)),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => Buffer.from(toBinary<DescMessage>(method.output, message)),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  }
}
