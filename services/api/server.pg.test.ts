import { create } from '@bufbuild/protobuf'
import { status as Status, type ClientReadableStream } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthCheckResponse,
} from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { grpcMethod } from '../../src/proto/grpc.ts'
import { freePort, startPostgres } from '../../test/rig/servers.ts'
import { isServiceError, refusal, TestApi } from '../../test/rig/services/api.ts'

/** The time limit of a test, less than the 10 s statement timeout of the server. */
const BEFORE_THE_SERVER = { timeout: 7_000 }

const { listOrganizations, createOrganization } = OrganizationService.method
const { createGateway, updateGateway } = GatewayService.method

let schema: TestSchema

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
})

afterAll(async () => schema[Symbol.asyncDispose]())

/** Returns the statuses that Watch sends, in order; ends with the status of the stream. */
function watch(api: TestApi, service: string): { readonly seen: (ServingStatus | Status)[]; cancel(): void } {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(Health.method.watch)
  const request = create(HealthCheckRequestSchema, { service })
  const stream: ClientReadableStream<HealthCheckResponse> = api.channel.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
  )
  const seen: (ServingStatus | Status)[] = []
  stream.on('data', ({ status }: HealthCheckResponse) => seen.push(status))
  stream.on('error', (error) => seen.push(isServiceError(error) ? error.code : Status.UNKNOWN))
  return { seen, cancel: () => stream.cancel() }
}

describe('A-2 grpc.health.v1', () => {
  test('Check answers for the server and each service, and NOT_FOUND for others', async () => {
    await using api = await TestApi.start(schema.options)
    for (const service of ['', OrganizationService.typeName, GatewayService.typeName]) {
      expect((await api.client.call(Health.method.check, { service })).status).toBe(ServingStatus.SERVING)
    }
    const unknown = refusal(api.client.call(Health.method.check, { service: 'nope' }))
    expect(await unknown).toEqual({ code: Status.NOT_FOUND, details: 'Service not found: nope' })
  })

  test('Watch sends the current status, and stays open for an unknown service', async () => {
    await using api = await TestApi.start(schema.options)
    const known = watch(api, GatewayService.typeName)
    const unknown = watch(api, 'nope')
    await expect.poll(() => known.seen).toEqual([ServingStatus.SERVING])
    await expect.poll(() => unknown.seen).toEqual([ServingStatus.SERVICE_UNKNOWN])
    known.cancel()
    unknown.cancel()
    await expect.poll(() => unknown.seen.at(-1)).toBe(Status.CANCELLED)
  })
})

test('A-10 the server and its health are UNAVAILABLE immediately while PostgreSQL is down, and recover automatically', async () => {
  await using server = await startPostgres()
  const own = await TestSchema.create(server)
  await using api = await TestApi.start(own.options)
  await api.client.call(createOrganization, { name: 'Acme' })
  const health = watch(api, '')
  await expect.poll(() => health.seen).toEqual([ServingStatus.SERVING])
  await server.kill()
  // The calls exceed the time limit of this test if each of them waits for a connection.
  for (let call = 0; call < 30; call += 1) {
    const { code, details } = await refusal(api.client.call(listOrganizations, {}))
    expect({ code, details }).toEqual({ code: Status.UNAVAILABLE, details: 'The database is not available; try again' })
  }
  await expect.poll(() => health.seen.at(-1)).toBe(ServingStatus.NOT_SERVING)
  expect(api.log.find((line) => line['code'] === 'UNAVAILABLE')).toMatchObject({
    level: 40,
    err: { code: 'unavailable' },
  })
  await server.start()
  await expect.poll(() => health.seen.at(-1)).toBe(ServingStatus.SERVING)
  const { organizations } = await api.client.call(listOrganizations, {})
  expect(organizations).toMatchObject([{ name: 'Acme' }])
})

describe('A-10 a shutdown', () => {
  test('finishes running calls, rejects new ones, and ends open streams', async () => {
    await using api = await TestApi.start(schema.options)
    const { organization } = await api.client.call(createOrganization, { name: 'Acme' })
    const organizationId = organization?.id ?? ''
    const { gateway } = await api.client.call(createGateway, { organizationId, gatewayType: 'print' })
    const gatewayId = gateway?.gatewayId ?? ''
    const health = watch(api, '')
    await expect.poll(() => health.seen).toEqual([ServingStatus.SERVING])
    const { running, stopped } = await schema.transaction(async (client) => {
      await client.query('SELECT FROM gateways WHERE gateway_id = $1 FOR UPDATE', [gatewayId])
      const running = api.client.call(updateGateway, { gatewayId, name: 'finished' })
      await expect.poll(() => schema.waitingForLocks()).toBe(1)
      const stopped = api.stop()
      const refused = () => refusal(api.client.call(listOrganizations, {}))
      await expect.poll(async () => (await refused()).code).toBe(Status.UNAVAILABLE)
      return { running, stopped }
    })
    expect((await running).gateway).toMatchObject({ name: 'finished' })
    await stopped
    expect(health.seen).toContain(ServingStatus.NOT_SERVING)
  })

  test('cancels a call that exceeds the drain time, and its statement', async () => {
    await using api = await TestApi.start(schema.options, { drainMs: 200 })
    const { organization } = await api.client.call(createOrganization, { name: 'Acme' })
    const organizationId = organization?.id ?? ''
    await schema.transaction(async (client) => {
      await client.query('UPDATE organizations SET name = name WHERE id = $1', [organizationId])
      const call = refusal(api.client.call(createGateway, { organizationId, gatewayType: 'print' }))
      await expect.poll(() => schema.waitingForLocks()).toBe(1)
      await api.stop()
      expect((await call).code).not.toBe(Status.OK)
      await expect.poll(() => schema.waitingForLocks(), BEFORE_THE_SERVER).toBe(0)
    })
  })
})

describe('the server', () => {
  test('reports a port in use with the remedy', async () => {
    await using api = await TestApi.start(schema.options)
    const port = Number(api.address.split(':').at(-1))
    await expect(api.api.serve('127.0.0.1', port).listen()).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port} for gRPC: the port is in use by another program: stop it, or set PONIX_GRPC_PORT`,
    )
  })

  test.each(['0.0.0.0', '::', '192.0.2.1'])('A-7 rejects %s, because there is no authentication', async (host) => {
    await using api = await TestApi.start(schema.options)
    await expect(api.api.serve(host, 0).listen()).rejects.toThrow(
      `PONIX_GRPC_HOST=${host} can be reached by other machines, and the api has no authentication yet`,
    )
  })

  test.each(['localhost', '::1', '127.0.0.2'])('A-7 accepts %s as loopback', async (host) => {
    await using api = await TestApi.start(schema.options)
    const server = api.api.serve(host, await freePort())
    const stop = new AbortController()
    expect(await server.listen()).toContain(host)
    stop.abort()
    await server.run(stop.signal)
  })
})
