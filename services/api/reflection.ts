import { addAbortListener, once } from 'node:events'
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
import { statusOf, asBuffer, identity, type Route } from './route.ts'

type Type = DescMessage | DescEnum | DescExtension | DescService
type Stream = ServerDuplexStream<Buffer, Buffer>
type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>

/** Returns grpc.reflection.v1 and v1alpha, which differ only in the package, for these services and for themselves. */
export function reflectionRoutes(services: readonly DescService[], stopping: AbortSignal): readonly Route[] {
  const index = new ReflectionIndex([...services, ServerReflection, ServerReflectionAlpha])
  return [ServerReflection, ServerReflectionAlpha].map((service) => reflectionRoute(service, index, stopping))
}

function reflectionRoute(
  { typeName, method }: typeof ServerReflection | typeof ServerReflectionAlpha,
  index: ReflectionIndex,
  stopping: AbortSignal,
): Route {
  const name = `${typeName}/${method.serverReflectionInfo.name}`
  return {
    service: typeName,
    register(server, observe) {
      const serve = async (call: Stream): Promise<void> => {
        const started = performance.now()
        const details = 'Shutting down'
        const shutdown = addAbortListener(stopping, () => call.emit('error', { code: Status.UNAVAILABLE, details }))
        let code: Status = Status.OK
        try {
          await converse(call, index)
          call.end()
        } catch (error) {
          const status = statusOf(error)
          code = call.cancelled ? Status.CANCELLED : status.code
          if (!call.cancelled) call.emit('error', status)
        }
        shutdown[Symbol.dispose]()
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
      return fileAnswer(index.files.get(request.value), `File not found: ${request.value}`, sent)
    case 'fileContainingSymbol':
      return fileAnswer(index.symbols.get(request.value.replace(/^\./, '')), `Symbol not found: ${request.value}`, sent)
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = request.value
      const extension = index.extensionsOf(containingType)?.find(({ number }) => number === extensionNumber)
      return fileAnswer(extension?.file, `Extension not found: ${containingType} ${extensionNumber}`, sent)
    }
    case 'allExtensionNumbersOfType': {
      const extensions = index.extensionsOf(request.value)
      if (extensions === undefined) return refusal(Status.NOT_FOUND, `Type not found: ${request.value}`)
      const value = { baseTypeName: request.value, extensionNumber: extensions.map(({ number }) => number) }
      return { case: 'allExtensionNumbersResponse', value }
    }
    case 'listServices':
      return { case: 'listServicesResponse', value: { service: index.services.map((name) => ({ name })) } }
    case undefined:
    default:
      return refusal(Status.INVALID_ARGUMENT, 'message_request is required')
  }
}

/** Returns the file, and its imports that this stream has not sent yet. */
function fileAnswer(file: DescFile | undefined, absent: string, sent: Set<DescFile>): Answer {
  if (file === undefined) return refusal(Status.NOT_FOUND, absent)
  const files = withImports([file]).filter((one) => one === file || !sent.has(one))
  for (const one of files) sent.add(one)
  const fileDescriptorProto = files.map((one) => toBinary(FileDescriptorProtoSchema, one.proto))
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } }
}

function refusal(errorCode: Status, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } }
}

/** The files of some services with all their imports, by name, symbol and extension. */
class ReflectionIndex {
  /** Full names, sorted. */
  readonly services: readonly string[]
  readonly files: ReadonlyMap<string, DescFile>
  /** The files by the full names of their services, methods, messages, fields, oneofs, enums, enum values and extensions. */
  readonly symbols: ReadonlyMap<string, DescFile>
  readonly #types: readonly Type[]

  constructor(services: readonly DescService[]) {
    this.services = services.map((service) => service.typeName).sort()
    const files = withImports(services.map((service) => service.file))
    this.files = new Map(files.map((file) => [file.proto.name, file]))
    this.#types = files.flatMap((file) => [...nestedTypes(file)])
    this.symbols = new Map(this.#types.flatMap((type) => symbolsOf(type).map((symbol) => [symbol, type.file] as const)))
  }

  /** Returns the extensions of a message; undefined for an unknown message. */
  extensionsOf(typeName: string): readonly DescExtension[] | undefined {
    if (!this.#types.some((type) => type.kind === 'message' && type.typeName === typeName)) return undefined
    return this.#types
      .filter((type) => type.kind === 'extension')
      .filter(({ extendee }) => extendee.typeName === typeName)
  }
}

/** Returns the files, followed by their direct and indirect imports. */
function withImports(files: readonly DescFile[]): readonly DescFile[] {
  const found = new Set(files)
  for (const file of found) for (const dependency of file.dependencies) found.add(dependency)
  return [...found]
}

/** Returns the full names that a type declares: its own name and the names of its members. */
function symbolsOf(type: Type): readonly string[] {
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
