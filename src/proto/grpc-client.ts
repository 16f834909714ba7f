import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { grpcMethod } from './grpc-service.ts'

/** Calls unary methods of a server on plaintext HTTP/2. */
export class GrpcClient {
  readonly #client: Client

  /** `address`: host and port. */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure())
  }

  /** Rejects with grpc-js' ServiceError: its `code` and `details` are the server's answer. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(method)
    const message = create(method.input, request)
    const deadline = Date.now() + (options.timeoutMs ?? 10_000)
    return new Promise((resolve, reject) => {
      const answered = (error: ServiceError | null, response?: MessageShape<O>): void => {
        if (error || response === undefined) reject(error ?? new Error(`${path}: no answer`))
        else resolve(response)
      }
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, { deadline }, answered)
    })
  }

  close(): void {
    this.#client.close()
  }
}
