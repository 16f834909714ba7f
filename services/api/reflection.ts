import { once } from 'node:events'
import {
  create,
  toBinary,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type DescEnum,
  type DescExtension,
  type DescMessage,
} from '@bufbuild/protobuf'
import { nestedTypes } from '@bufbuild/protobuf/reflect'
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
import { statusOf, asBuffer, identity, type Route } from './route.ts'

type Stream = ServerDuplexStream<Buffer, Buffer>
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>

/** grpc.reflection.v1 and v1alpha, which differ only in the package, for these services and for themselves. */
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

/** Answers requests in order, with back-pressure. */
async function converse(call: Stream, index: ReflectionIndex): Promise<void> {
  const gone = new AbortController()
  call.once('cancelled', () => gone.abort())
  const sent = new Set<DescFile>()
  // By default, leaving the loop destroys the stream, which could then send no status.
  for await (const bytes of call.iterator({ destroyOnReturn: false })) {
    const request = decodeMessage(ServerReflectionRequestSchema, bytes)
    const response = create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request.messageRequest, index, sent),
    })
    const writable = call.write(asBuffer(toBinary(ServerReflectionResponseSchema, response)))
    if (!writable) await once(call, 'drain', { signal: gone.signal })
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

/** The file, and its imports that this stream has not sent yet. */
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

/** The files of some services with all their imports, by name, symbol and extension. */
class ReflectionIndex {
  /** Full names, sorted. */
  readonly services: readonly string[]
  readonly #files = new Map<string, DescFile>()
  readonly #symbols = new Map<string, DescFile>()
  /** Extended message → number → file that declares the extension. */
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

  /** The extension numbers of a message; undefined for an unknown message. */
  extensionNumbers(typeName: string): readonly number[] | undefined {
    const numbers = this.#extensions.get(typeName)
    return numbers === undefined ? undefined : [...numbers.keys()]
  }

  /** The file, followed by its direct and indirect imports. */
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
    for (const type of nestedTypes(file)) {
      for (const symbol of symbolsOf(type)) this.#symbols.set(symbol, file)
      if (type.kind === 'message') this.#extensionsOf(type.typeName)
      if (type.kind === 'extension') this.#extensionsOf(type.extendee.typeName).set(type.number, file)
    }
  }

  #extensionsOf(typeName: string): Map<number, DescFile> {
    const known = this.#extensions.get(typeName)
    if (known !== undefined) return known
    const numbers = new Map<number, DescFile>()
    this.#extensions.set(typeName, numbers)
    return numbers
  }
}

/** The full names that a type declares: its own and those of its members. */
function symbolsOf(type: DescMessage | DescEnum | DescExtension | DescService): readonly string[] {
  const { typeName } = type
  const membersIn = (scope: string, members: readonly { readonly name: string }[]): string[] =>
    members.map(({ name }) => scope + name)
  switch (type.kind) {
    case 'service':
      return [typeName, ...membersIn(`${typeName}.`, type.methods)]
    case 'message':
      return [typeName, ...membersIn(`${typeName}.`, [...type.fields, ...type.oneofs])]
    case 'enum':
      // Enum values are declared beside their enum, not in it.
      return [typeName, ...membersIn(typeName.slice(0, typeName.lastIndexOf('.') + 1), type.values)]
    case 'extension':
    default:
      return [typeName]
  }
}
