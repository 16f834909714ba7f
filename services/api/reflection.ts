import { once } from 'node:events'
import {
  create,
  toBinary,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type DescMessage,
} from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { status as Status, type ServerDuplexStream } from '@grpc/grpc-js'
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  type ServerReflectionRequest,
} from '../../src/proto/gen/grpc/reflection/v1/reflection_pb.ts'
import { ServerReflection as ServerReflectionAlpha } from '../../src/proto/gen/grpc/reflection/v1alpha/reflection_pb.ts'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import type { OpenStreams } from './grpc-server.ts'
import { statusOf, asBuffer, identity, type Route } from './unary.ts'

type Stream = ServerDuplexStream<Buffer, Buffer>
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>

/** grpc.reflection.v1 and v1alpha, which differ in nothing but the package, for these services and for themselves. */
export function reflectionRoutes(services: readonly DescService[], streams: OpenStreams): readonly Route[] {
  const index = new ReflectionIndex([...services, ServerReflection, ServerReflectionAlpha])
  return [ServerReflection, ServerReflectionAlpha].map((service) => reflectionRoute(service, index, streams))
}

function reflectionRoute(
  { typeName, method }: typeof ServerReflection | typeof ServerReflectionAlpha,
  index: ReflectionIndex,
  streams: OpenStreams,
): Route {
  const name = `${typeName}/${method.serverReflectionInfo.name}`
  return {
    service: typeName,
    register(server, observe) {
      const serve = async (call: Stream): Promise<void> => {
        const started = performance.now()
        const close = streams.opened(() => call.emit('error', { code: Status.UNAVAILABLE, details: 'Shutting down' }))
        let code: Status = Status.OK
        try {
          await converse(call, index)
          call.end()
        } catch (error) {
          const status = statusOf(error)
          code = call.cancelled ? Status.CANCELLED : status.code
          if (!call.cancelled) call.emit('error', status)
        }
        close()
        observe({ method: name, code, durationMs: performance.now() - started, organizationId: '' })
      }
      server.register(`/${name}`, (call: Stream) => void serve(call), identity, identity, 'bidi')
    },
  }
}

/** One answer after the other, and none while the client does not read. */
async function converse(call: Stream, index: ReflectionIndex): Promise<void> {
  const gone = new AbortController()
  call.once('cancelled', () => gone.abort())
  const sent = new Set<DescFile>()
  // By itself a loop over a stream destroys it at the end, and then no status could be sent.
  for await (const bytes of call.iterator({ destroyOnReturn: false })) {
    const request = decodeMessage(ServerReflectionRequestSchema, bytes)
    const response = create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request.messageRequest, index, sent),
    })
    const room = call.write(asBuffer(toBinary(ServerReflectionResponseSchema, response)))
    if (!room) await once(call, 'drain', { signal: gone.signal })
  }
}

function answer(
  request: ServerReflectionRequest['messageRequest'],
  index: ReflectionIndex,
  sent: Set<DescFile>,
): Answer {
  switch (request.case) {
    case 'fileByFilename':
      return fileAnswer(index.fileByName(request.value), `File not found: ${request.value}`, index, sent)
    case 'fileContainingSymbol':
      return fileAnswer(index.fileBySymbol(request.value), `Symbol not found: ${request.value}`, index, sent)
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = request.value
      const file = index.fileByExtension(containingType, extensionNumber)
      return fileAnswer(file, `Extension not found: ${containingType} ${extensionNumber}`, index, sent)
    }
    case 'allExtensionNumbersOfType': {
      const extensionNumber = index.extensionNumbers(request.value)
      if (extensionNumber === undefined) return refusal(Status.NOT_FOUND, `Type not found: ${request.value}`)
      const value = { baseTypeName: request.value, extensionNumber: [...extensionNumber] }
      return { case: 'allExtensionNumbersResponse', value }
    }
    case 'listServices':
      return { case: 'listServicesResponse', value: { service: index.services.map((name) => ({ name })) } }
    case undefined:
    default:
      return refusal(Status.INVALID_ARGUMENT, 'message_request is required')
  }
}

/** The file, and what it imports unless this stream has had it already. */
function fileAnswer(file: DescFile | undefined, absent: string, index: ReflectionIndex, sent: Set<DescFile>): Answer {
  if (file === undefined) return refusal(Status.NOT_FOUND, absent)
  const files = index.withImports(file).filter((one) => one === file || !sent.has(one))
  for (const one of files) sent.add(one)
  const fileDescriptorProto = files.map((one) => index.encode(one))
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } }
}

function refusal(errorCode: Status, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } }
}

/** What is declared where, in the files of some services and all that these import. */
class ReflectionIndex {
  /** Full names, sorted. */
  readonly services: readonly string[]
  readonly #files = new Map<string, DescFile>()
  readonly #symbols = new Map<string, DescFile>()
  /** Extended message → number → the file that declares the extension. */
  readonly #extensions = new Map<string, Map<number, DescFile>>()
  readonly #encoded = new Map<string, Uint8Array>()

  constructor(services: readonly DescService[]) {
    this.services = services.map((service) => service.typeName).sort()
    for (const service of services) this.#addFile(service.file)
  }

  fileByName(name: string): DescFile | undefined {
    return this.#files.get(name)
  }

  /** The file that declares a service, method, message, field, oneof, enum, enum value or extension, by its full name. */
  fileBySymbol(symbol: string): DescFile | undefined {
    return this.#symbols.get(symbol.startsWith('.') ? symbol.slice(1) : symbol)
  }

  fileByExtension(typeName: string, extensionNumber: number): DescFile | undefined {
    return this.#extensions.get(typeName)?.get(extensionNumber)
  }

  /** The numbers of a message's extensions; undefined for a message that is not known. */
  extensionNumbers(typeName: string): readonly number[] | undefined {
    const numbers = this.#extensions.get(typeName)
    return numbers === undefined ? undefined : [...numbers.keys()]
  }

  /** The file and then everything it imports, directly or not. */
  withImports(file: DescFile): readonly DescFile[] {
    const found = new Set<DescFile>([file])
    for (const one of found) for (const dependency of one.dependencies) found.add(dependency)
    return [...found]
  }

  /** The file as a google.protobuf.FileDescriptorProto. */
  encode(file: DescFile): Uint8Array {
    const known = this.#encoded.get(file.proto.name)
    if (known !== undefined) return known
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto)
    this.#encoded.set(file.proto.name, bytes)
    return bytes
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return
    this.#files.set(file.proto.name, file)
    for (const dependency of file.dependencies) this.#addFile(dependency)
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file)
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file)
    }
    for (const message of file.messages) this.#addMessage(message)
    for (const enumeration of file.enums) this.#addEnum(enumeration.typeName, enumeration.values, file)
    for (const extension of file.extensions) {
      this.#symbols.set(extension.typeName, file)
      this.#extensionsOf(extension.extendee.typeName).set(extension.number, file)
    }
  }

  #addMessage(message: DescMessage): void {
    const { file, typeName } = message
    this.#symbols.set(typeName, file)
    this.#extensionsOf(typeName)
    for (const field of message.fields) this.#symbols.set(`${typeName}.${field.name}`, file)
    for (const oneof of message.oneofs) this.#symbols.set(`${typeName}.${oneof.name}`, file)
    for (const enumeration of message.nestedEnums) this.#addEnum(enumeration.typeName, enumeration.values, file)
    for (const extension of message.nestedExtensions) {
      this.#symbols.set(extension.typeName, file)
      this.#extensionsOf(extension.extendee.typeName).set(extension.number, file)
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested)
  }

  /** The values of an enum are declared beside it, not in it. */
  #addEnum(typeName: string, values: readonly { readonly name: string }[], file: DescFile): void {
    this.#symbols.set(typeName, file)
    const scope = typeName.slice(0, typeName.lastIndexOf('.') + 1)
    for (const value of values) this.#symbols.set(`${scope}${value.name}`, file)
  }

  #extensionsOf(typeName: string): Map<number, DescFile> {
    const known = this.#extensions.get(typeName)
    if (known !== undefined) return known
    const numbers = new Map<number, DescFile>()
    this.#extensions.set(typeName, numbers)
    return numbers
  }
}
