import { execFile } from 'node:child_process'
import { on } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { status as Status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from '../../src/proto/gen/grpc/reflection/v1/reflection_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { grpcMethod } from '../../src/proto/grpc.ts'
import { TestApi } from '../../test/rig/services/api.ts'

const buf = fileURLToPath(new URL('../../node_modules/.bin/buf', import.meta.url))
const run = promisify(execFile)

let schema: TestSchema
let api: TestApi

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  api = await TestApi.start(schema.options)
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await schema[Symbol.asyncDispose]()
})

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest']>

/** Sends the requests one after the other on one stream. */
async function ask(version: 'v1' | 'v1alpha', ...questions: Question[]): Promise<ServerReflectionResponse[]> {
  const { requestSerialize, responseDeserialize } = grpcMethod(ServerReflection.method.serverReflectionInfo)
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`
  const stream = api.channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
  const answers: ServerReflectionResponse[] = []
  for (const messageRequest of questions) stream.write(create(ServerReflectionRequestSchema, { messageRequest }))
  stream.end()
  for await (const [answer] of on(stream, 'data', { close: ['end'] })) answers.push(answer)
  return answers
}

/** Returns the files of an answer, by name, as any client reads them. */
function filesOf(answer: ServerReflectionResponse | undefined): string[] {
  if (answer?.messageResponse.case !== 'fileDescriptorResponse')
    throw new Error(`no files: ${answer?.messageResponse.case}`)
  return answer.messageResponse.value.fileDescriptorProto.map(
    (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name,
  )
}

const SERVICES = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
  'ponix.analytics.v1.TelemetryService',
  'ponix.device_profile.v1.DeviceProfileService',
  'ponix.end_device.v1.EndDeviceService',
  'ponix.gateway.v1.GatewayService',
  'ponix.organization.v1.OrganizationService',
]

describe.each(['v1', 'v1alpha'] as const)('A-2 reflection %s', (version) => {
  test('lists all services', async () => {
    const [answer] = await ask(version, { case: 'listServices', value: '' })
    const service = SERVICES.map((name) => expect.objectContaining({ name }))
    expect(answer?.messageResponse).toMatchObject({ case: 'listServicesResponse', value: { service } })
    expect(answer?.originalRequest?.messageRequest).toEqual({ case: 'listServices', value: '' })
  })

  test('finds a file by its name, with its imports', async () => {
    const [answer] = await ask(version, { case: 'fileByFilename', value: 'ponix/gateway/v1/gateway.proto' })
    expect(filesOf(answer)).toEqual(['ponix/gateway/v1/gateway.proto', 'google/protobuf/timestamp.proto'])
  })

  test('finds an import by its name', async () => {
    const [answer] = await ask(version, { case: 'fileByFilename', value: 'google/protobuf/timestamp.proto' })
    expect(filesOf(answer)).toEqual(['google/protobuf/timestamp.proto'])
  })

  test.each([
    ['a service', 'ponix.gateway.v1.GatewayService'],
    ['a method', 'ponix.gateway.v1.GatewayService.CreateGateway'],
    ['a message', 'ponix.gateway.v1.CreateGatewayRequest'],
    ['a field', 'ponix.gateway.v1.Gateway.gateway_config'],
    ['an enum', 'ponix.gateway.v1.GatewayStatus'],
    ['an enum value', 'ponix.gateway.v1.GATEWAY_STATUS_ACTIVE'],
    ['a name with a leading dot', '.ponix.gateway.v1.Gateway'],
  ])('finds %s by its full name', async (_kind, value) => {
    const [answer] = await ask(version, { case: 'fileContainingSymbol', value })
    expect(filesOf(answer)[0]).toBe('ponix/gateway/v1/gateway.proto')
  })

  test('finds a nested enum, a oneof and an imported message', async () => {
    const symbols = [
      'grpc.health.v1.HealthCheckResponse.ServingStatus',
      'grpc.health.v1.HealthCheckResponse.SERVICE_UNKNOWN',
      'grpc.reflection.v1.ServerReflectionRequest.message_request',
      'google.protobuf.Timestamp',
    ]
    const answers = await ask(version, ...symbols.map((value) => ({ case: 'fileContainingSymbol', value }) as const))
    expect(answers.map((answer) => filesOf(answer)[0])).toEqual([
      'grpc/health/v1/health.proto',
      'grpc/health/v1/health.proto',
      'grpc/reflection/v1/reflection.proto',
      'google/protobuf/timestamp.proto',
    ])
  })

  test('sends an import once per stream, but a requested file every time', async () => {
    const answers = await ask(
      version,
      { case: 'fileContainingSymbol', value: 'ponix.gateway.v1.Gateway' },
      { case: 'fileContainingSymbol', value: 'ponix.end_device.v1.EndDevice' },
      { case: 'fileContainingSymbol', value: 'ponix.gateway.v1.Gateway' },
    )
    expect(answers.map(filesOf)).toEqual([
      ['ponix/gateway/v1/gateway.proto', 'google/protobuf/timestamp.proto'],
      ['ponix/end_device/v1/end_device.proto'],
      ['ponix/gateway/v1/gateway.proto'],
    ])
  })

  test('answers no extensions for a known message, and NOT_FOUND for other types', async () => {
    const [known, unknown, extension] = await ask(
      version,
      { case: 'allExtensionNumbersOfType', value: 'ponix.gateway.v1.Gateway' },
      { case: 'allExtensionNumbersOfType', value: 'nope.Nope' },
      { case: 'fileContainingExtension', value: { containingType: 'ponix.gateway.v1.Gateway', extensionNumber: 7 } },
    )
    expect(known?.messageResponse).toMatchObject({
      case: 'allExtensionNumbersResponse',
      value: { baseTypeName: 'ponix.gateway.v1.Gateway', extensionNumber: [] },
    })
    const notFound = { case: 'errorResponse', value: { errorCode: Status.NOT_FOUND } }
    expect(unknown?.messageResponse).toMatchObject(notFound)
    expect(extension?.messageResponse).toMatchObject(notFound)
  })

  test('answers an unknown name with an error and keeps the stream open', async () => {
    const [file, symbol, last] = await ask(
      version,
      { case: 'fileByFilename', value: 'nope.proto' },
      { case: 'fileContainingSymbol', value: 'nope.Nope' },
      { case: 'fileContainingSymbol', value: 'ponix.gateway.v1.Gateway' },
    )
    const errorCode = Status.NOT_FOUND
    const noFile = { errorCode, errorMessage: 'File not found: nope.proto' }
    expect(file?.messageResponse).toMatchObject({ case: 'errorResponse', value: noFile })
    const noSymbol = { errorCode, errorMessage: 'Symbol not found: nope.Nope' }
    expect(symbol?.messageResponse).toMatchObject({ case: 'errorResponse', value: noSymbol })
    expect(filesOf(last)).toContain('ponix/gateway/v1/gateway.proto')
  })
})

describe('W-3 an independent client that uses only reflection', () => {
  /** Sends a call with `buf curl` in a folder without our .proto files; returns its output. */
  async function bufCurl(method: string, body: string, ...more: string[]): Promise<unknown> {
    const args = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', ...more, '-d', body]
    const { stdout } = await run(buf, [...args, `http://${api.address}/${method}`], { cwd: '/' })
    return JSON.parse(stdout)
  }

  async function newOrganization(): Promise<string> {
    const { organization } = await api.client.call(OrganizationService.method.createOrganization, { name: 'Acme' })
    return organization?.id ?? ''
  }

  const created = z.object({ gateway: z.object({ gatewayConfig: z.string() }).loose() })

  test.each(['grpc-v1', 'grpc-v1alpha'])('sends the first call of W-3, with %s', async (protocol) => {
    const organizationId = await newOrganization()
    const answer = await bufCurl(
      'ponix.end_device.v1.EndDeviceService/CreateEndDevice',
      `{"organization_id": "${organizationId}", "name": "Sensor Alpha"}`,
      '--reflect',
      '--reflect-protocol',
      protocol,
    )
    const deviceId = expect.stringMatching(/^[0-9a-v]{20}$/)
    expect(answer).toMatchObject({ endDevice: { deviceId, organizationId, name: 'Sensor Alpha' } })
  })

  test('sends the second call of W-3', async () => {
    const organizationId = await newOrganization()
    const answer = await bufCurl(
      'ponix.gateway.v1.GatewayService/CreateGateway',
      `{"organization_id": "${organizationId}", "gateway_type": "emqx", "gateway_config": "{\\"host\\": \\"mqtt.example.com\\"}"}`,
    )
    expect(answer).toMatchObject({ gateway: { organizationId, gatewayType: 'emqx', status: 'GATEWAY_STATUS_PENDING' } })
    expect(JSON.parse(created.parse(answer).gateway.gatewayConfig)).toEqual({ host: 'mqtt.example.com' })
  })

  test('sends the third call of W-3', async () => {
    const organizationId = await newOrganization()
    const answer = await bufCurl(
      'ponix.gateway.v1.GatewayService/CreateGateway',
      `{"organization_id": "${organizationId}", "name": "Test Gateway", "gateway_type": "EMQX"}`,
    )
    expect(answer).toMatchObject({ gateway: { name: 'Test Gateway', gatewayType: 'EMQX', gatewayConfig: '{}' } })
  })

  test('calls the health of a service', async () => {
    const answer = await bufCurl('grpc.health.v1.Health/Check', '{"service": "ponix.gateway.v1.GatewayService"}')
    expect(answer).toEqual({ status: 'SERVING' })
  })
})
