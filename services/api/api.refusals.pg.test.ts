import { fromJson } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService, GatewayStatus } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import {
  OrganizationService,
  UpdateOrganizationRequestSchema,
} from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { apiForAll, refusal, TestApi } from '../../test/rig/services/api.ts'

const organizations = OrganizationService.method
const devices = EndDeviceService.method
const gateways = GatewayService.method

const rig = apiForAll()
const { newOrganization, newDevice, newGateway } = rig
let api: TestApi

beforeAll(() => {
  ;({ api } = rig)
})

describe('A-4 rejected requests', () => {
  const blank = [
    ['name', () => api.client.call(organizations.createOrganization, { name: ' \t' })],
    ['organization_id', () => api.client.call(organizations.getOrganization, {})],
    ['organization_id', () => api.client.call(organizations.updateOrganization, { name: 'x' })],
    ['organization_id', () => api.client.call(organizations.deleteOrganization, { organizationId: ' ' })],
    ['name', () => api.client.call(organizations.updateOrganization, { organizationId: 'x', name: '' })],
    ['organization_id', () => api.client.call(devices.createEndDevice, { name: 'x' })],
    ['name', () => api.client.call(devices.createEndDevice, { organizationId: 'x' })],
    ['device_id', () => api.client.call(devices.getEndDevice, {})],
    ['device_id', () => api.client.call(devices.updateEndDevice, {})],
    ['name', () => api.client.call(devices.updateEndDevice, { deviceId: 'x', name: ' ' })],
    ['device_id', () => api.client.call(devices.deleteEndDevice, {})],
    ['organization_id', () => api.client.call(devices.listEndDevices, {})],
    ['organization_id', () => api.client.call(gateways.createGateway, { gatewayType: 'x' })],
    ['gateway_type', () => api.client.call(gateways.createGateway, { organizationId: 'x' })],
    ['gateway_type', () => api.client.call(gateways.updateGateway, { gatewayId: 'x', gatewayType: '' })],
    ['gateway_id', () => api.client.call(gateways.getGateway, {})],
    ['gateway_id', () => api.client.call(gateways.deleteGateway, {})],
    ['organization_id', () => api.client.call(gateways.listGateways, {})],
  ] as const

  test.each(blank.map(([field, call], index) => ({ field, call, index })))(
    'a blank field, number $index, is INVALID_ARGUMENT and names $field',
    async ({ field, call }) => {
      const details = `${field} is required and must not be blank`
      expect(await refusal(call())).toEqual({ code: Status.INVALID_ARGUMENT, details })
    },
  )

  test('a missing or deleted organization is NOT_FOUND with its id', async () => {
    const deleted = await newOrganization()
    await api.client.call(organizations.deleteOrganization, { organizationId: deleted })
    for (const organizationId of ['nobody', deleted]) {
      const missing = { code: Status.NOT_FOUND, details: `Organization not found: ${organizationId}` }
      expect(await refusal(newDevice(organizationId))).toEqual(missing)
      expect(await refusal(newGateway(organizationId))).toEqual(missing)
      expect(await refusal(api.client.call(organizations.getOrganization, { organizationId }))).toEqual(missing)
      expect(await refusal(api.client.call(organizations.deleteOrganization, { organizationId }))).toEqual(missing)
    }
  })

  test('a missing or deleted device or gateway is NOT_FOUND with its id', async () => {
    const gatewayId = await newGateway(await newOrganization())
    await api.client.call(gateways.deleteGateway, { gatewayId })
    const gone = { code: Status.NOT_FOUND, details: `Gateway not found: ${gatewayId}` }
    expect(await refusal(api.client.call(gateways.updateGateway, { gatewayId, name: 'x' }))).toEqual(gone)
    expect(await refusal(api.client.call(gateways.deleteGateway, { gatewayId }))).toEqual(gone)
    const missing = { code: Status.NOT_FOUND, details: 'End device not found: nothing' }
    expect(await refusal(api.client.call(devices.deleteEndDevice, { deviceId: 'nothing' }))).toEqual(missing)
  })

  test('G-16 a gateway of an unknown type, or with a wrong config, is INVALID_ARGUMENT on create and update', async () => {
    const organizationId = await newOrganization()
    const create = (gatewayType: string, gatewayConfig: string) =>
      refusal(api.client.call(gateways.createGateway, { organizationId, gatewayType, gatewayConfig }))
    const wrong = (details: string) => ({ code: Status.INVALID_ARGUMENT, details })
    const types = 'gateway_type must be one of mqtt, emqx, chirpstack, ttn, print'
    const unknownKey = wrong('gateway_config: hots: unknown key; did you mean "host"?')
    expect(await create('lora', '')).toEqual(wrong(`${types}, not "lora"`))
    expect(await create('mqtt', '{"host": "b", "hots": "c"}')).toEqual(unknownKey)
    const request = { organizationId, gatewayType: 'mqtt', gatewayConfig: '{"host": "b"}' }
    const { gateway } = await api.client.call(gateways.createGateway, request)
    const update = (change: { gatewayType?: string; gatewayConfig?: string }) =>
      refusal(api.client.call(gateways.updateGateway, { gatewayId: gateway?.gatewayId ?? '', ...change }))
    expect(await update({ gatewayConfig: '{"host": "b", "hots": "c"}' })).toEqual(unknownKey)
    expect(await update({ gatewayType: 'lora' })).toEqual(wrong(`${types}, not "lora"`))
    const topic = await api.client.call(gateways.updateGateway, {
      gatewayId: gateway?.gatewayId ?? '',
      gatewayConfig: '{"host": "b", "topic": "+/d1"}',
    })
    expect(topic.gateway?.gatewayType).toBe('mqtt')
    expect((await update({ gatewayType: 'ttn' })).details).toMatch(
      /^gateway_config: topic: unknown key; expected one of /,
    )
  })

  test('an external_id that is malformed is INVALID_ARGUMENT, and one that is taken is ALREADY_EXISTS', async () => {
    const organizationId = await newOrganization()
    const deviceId = await newDevice(organizationId)
    const request = { organizationId, name: 'x', externalId: '70b3d57ed000000' }
    const details = 'external_id has 15 hexadecimal digits; a DevEUI has 16, such as 70b3d57ed0000001'
    const malformed = { code: Status.INVALID_ARGUMENT, details }
    expect(await refusal(api.client.call(devices.createEndDevice, request))).toEqual(malformed)
    const { externalId } = request
    expect(await refusal(api.client.call(devices.updateEndDevice, { deviceId, externalId }))).toEqual(malformed)
    await api.client.call(devices.createEndDevice, { ...request, externalId: '70b3d57ed0000001' })
    const again = { ...request, externalId: '70B3D57ED0000001' }
    const taken = {
      code: Status.ALREADY_EXISTS,
      details: 'End device already exists: external_id 70b3d57ed0000001',
    }
    expect(await refusal(api.client.call(devices.createEndDevice, again))).toEqual(taken)
    const change = { deviceId, externalId: again.externalId }
    expect(await refusal(api.client.call(devices.updateEndDevice, change))).toEqual(taken)
  })

  test('an expression that does not compile is INVALID_ARGUMENT with line and column, on create and update', async () => {
    const organizationId = await newOrganization()
    const payloadConversion = '{"a": 1,\n "b": }'
    const create = api.client.call(devices.createEndDevice, { organizationId, name: 'x', payloadConversion })
    const { code, details } = await refusal(create)
    expect(code).toBe(Status.INVALID_ARGUMENT)
    expect(details).toMatch(/^payload_conversion, line 2, column \d+: /)
    const deviceId = await newDevice(organizationId)
    const update = api.client.call(devices.updateEndDevice, { deviceId, payloadConversion: 'no_such_function(input)' })
    expect((await refusal(update)).details).toMatch(/^payload_conversion, line 1, column \d+: /)
  })

  test('a config that is not a JSON object, the status of a gateway and an unknown status are INVALID_ARGUMENT', async () => {
    const organizationId = await newOrganization()
    const list = refusal(newGateway(organizationId, '[1]'))
    expect((await list).details).toMatch(/^gateway_config must be a JSON object/)
    const gatewayId = await newGateway(organizationId)
    const follows = 'status cannot be set: it follows the connection of the gateway'
    const set = refusal(api.client.call(gateways.updateGateway, { gatewayId, status: GatewayStatus.ACTIVE }))
    expect(await set).toEqual({ code: Status.INVALID_ARGUMENT, details: follows })
    const future = fromJson(UpdateOrganizationRequestSchema, { organizationId, status: 77 })
    const unknown = api.client.call(organizations.updateOrganization, future)
    expect((await refusal(unknown)).details).toBe('status must be PENDING, ACTIVE or INACTIVE')
  })

  test('a request that cannot be decoded is INVALID_ARGUMENT', async () => {
    const path = `/${GatewayService.typeName}/GetGateway`
    const bytes = (buffer: Buffer): Buffer => buffer
    const call = new Promise((resolve, reject) => {
      const answered = (error: Error | null, value?: Buffer): void => (error === null ? resolve(value) : reject(error))
      api.channel.makeUnaryRequest(path, bytes, bytes, Buffer.from([0xff, 0xff]), answered)
    })
    const { code, details } = await refusal(call)
    expect(code).toBe(Status.INVALID_ARGUMENT)
    expect(details).toMatch(/^not a ponix\.gateway\.v1\.GetGatewayRequest: /)
  })

  test('an unknown method is UNIMPLEMENTED', async () => {
    const bytes = (buffer: Buffer): Buffer => buffer
    const path = `/${GatewayService.typeName}/Nope`
    const call = new Promise((_resolve, reject) => {
      api.channel.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), reject)
    })
    expect((await refusal(call)).code).toBe(Status.UNIMPLEMENTED)
  })

  test('an unexpected error is INTERNAL, and its text is only in the log', async () => {
    const broken = await TestSchema.create(inject('postgres'))
    await using own = await TestApi.start(broken.options)
    await broken.sql('ALTER TABLE gateways RENAME COLUMN name TO secret_name')
    const call = own.client.call(gateways.getGateway, { gatewayId: 'x' })
    expect(await refusal(call)).toEqual({ code: Status.INTERNAL, details: 'Internal error' })
    const line = own.log.find(({ code }) => code === 'INTERNAL')
    expect(line).toMatchObject({ level: 50, err: { message: 'column "name" does not exist' } })
  })
})
