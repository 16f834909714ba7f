import { once } from 'node:events'
import { create, toBinary, type DescFile, type DescService, type MessageInitShape } from '@bufbuild/protobuf'
import { status as Status, type ServerDuplexStream } from '@grpc/grpc-js'
import { decodeMessage } from '../../src/proto/timestamp.ts'
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  type ServerReflectionRequest,
} from '../../src/proto/gen/grpc/reflection/v1/reflection_pb.ts'
import { ServerReflection as ServerReflectionAlpha } from '../../src/proto/gen/grpc/reflection/v1alpha/reflection_pb.ts'
import type { OpenStreams } from './open-streams.ts'
import { ReflectionIndex } from './reflection-index.ts'
import { statusOf } from './status.ts'
import { asBuffer, identity, type Route } from './unary.ts'

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
