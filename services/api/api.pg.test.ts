import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import type { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import {
  GatewayConnectionState,
  GatewayService,
  GatewayStatus,
} from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService, OrganizationStatus } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { apiForAll, refusal, type TestApi } from '../../test/rig/services/api.ts'

const organizations = OrganizationService.method
const devices = EndDeviceService.method
const gateways = GatewayService.method
const ID = /^[0-9a-v]{20}$/

const rig = apiForAll()
const { newOrganization, newDevice, newGateway } = rig
let schema: TestSchema
let api: TestApi

beforeAll(() => {
  ;({ schema, api } = rig)
})

describe('W-3 the API', () => {
  test('stores the retention of an organization, and keeps it when other fields change', async () => {
    const created = await api.client.call(organizations.createOrganization, { name: 'Acme', retentionDays: 90 })
    const organizationId = created.organization?.id ?? ''
    expect(created.organization?.retentionDays).toBe(90)
    const renamed = await api.client.call(organizations.updateOrganization, { organizationId, name: 'Other' })
    expect(renamed.organization).toMatchObject({ name: 'Other', retentionDays: 90 })
    const removed = await api.client.call(organizations.updateOrganization, { organizationId, retentionDays: 0 })
    expect(removed.organization?.retentionDays).toBe(0)
    for (const retentionDays of [-1, 36_501]) {
      const details = `retention_days must be an integer from 0 to 36500, not ${retentionDays}`
      const update = api.client.call(organizations.updateOrganization, { organizationId, retentionDays })
      await expect(update).rejects.toMatchObject({ details })
      const create = api.client.call(organizations.createOrganization, { name: 'Acme', retentionDays })
      await expect(create).rejects.toMatchObject({ details })
    }
  })

  test('creates, gets, lists, updates and deletes organizations', async () => {
    const { organization } = await api.client.call(organizations.createOrganization, { name: 'Ünïcode & Söhne' })
    const id = organization?.id ?? ''
    expect(organization).toMatchObject({ name: 'Ünïcode & Söhne', status: OrganizationStatus.ACTIVE })
    expect(id).toMatch(ID)
    const got = await api.client.call(organizations.getOrganization, { organizationId: id })
    expect(got.organization).toEqual(organization)
    const list = await api.client.call(organizations.listOrganizations, { pageSize: 1 })
    expect(list.organizations[0]).toEqual(organization)
    const status = OrganizationStatus.INACTIVE
    const updated = await api.client.call(organizations.updateOrganization, { organizationId: id, status })
    expect(updated.organization).toMatchObject({ name: 'Ünïcode & Söhne', status })
    expect(updated.organization?.updatedAt).not.toEqual(organization?.updatedAt)
    const deleted = await api.client.call(organizations.deleteOrganization, { organizationId: id })
    expect(deleted.organization?.deletedAt).toBeDefined()
  })

  test('creates, gets, lists, updates and deletes end devices', async () => {
    const organizationId = await newOrganization()
    const payloadConversion = 'cayenne_lpp_decode(input)'
    const request = { organizationId, name: 'Sensor Alpha', payloadConversion }
    const { endDevice } = await api.client.call(devices.createEndDevice, request)
    const deviceId = endDevice?.deviceId ?? ''
    expect(endDevice).toMatchObject({ ...request, deviceId: expect.stringMatching(ID) })
    expect((await api.client.call(devices.getEndDevice, { deviceId })).endDevice).toEqual(endDevice)
    expect((await api.client.call(devices.listEndDevices, { organizationId })).endDevices).toEqual([endDevice])
    const renamed = await api.client.call(devices.updateEndDevice, { deviceId, name: 'Beta' })
    expect(renamed.endDevice).toMatchObject({ name: 'Beta', payloadConversion })
    const cleared = await api.client.call(devices.updateEndDevice, { deviceId, payloadConversion: '' })
    expect(cleared.endDevice).toMatchObject({ name: 'Beta', payloadConversion: '' })
    await api.client.call(devices.deleteEndDevice, { deviceId })
    expect((await refusal(api.client.call(devices.getEndDevice, { deviceId }))).code).toBe(Status.NOT_FOUND)
  })

  test('W-3 normalises the external_id of a device, which an empty one removes', async () => {
    const organizationId = await newOrganization()
    const request = { organizationId, name: 'Sensor', externalId: '70-B3-D5-7E-D0-00-00-01' }
    const { endDevice } = await api.client.call(devices.createEndDevice, request)
    const deviceId = endDevice?.deviceId ?? ''
    expect(endDevice).toMatchObject({ externalId: '70b3d57ed0000001' })
    expect((await api.client.call(devices.getEndDevice, { deviceId })).endDevice).toEqual(endDevice)
    expect((await api.client.call(devices.listEndDevices, { organizationId })).endDevices).toEqual([endDevice])
    const renamed = await api.client.call(devices.updateEndDevice, { deviceId, name: 'Beta' })
    expect(renamed.endDevice).toMatchObject({ name: 'Beta', externalId: '70b3d57ed0000001' })
    const moved = await api.client.call(devices.updateEndDevice, { deviceId, externalId: '70B3D57ED0000002' })
    expect(moved.endDevice).toMatchObject({ name: 'Beta', externalId: '70b3d57ed0000002' })
    const cleared = await api.client.call(devices.updateEndDevice, { deviceId, externalId: '' })
    expect(cleared.endDevice).toMatchObject({ name: 'Beta', externalId: '' })
  })

  test('P-11: shows when a device was last seen, after its first message', async () => {
    const organizationId = await newOrganization()
    const [silent, heard] = [await newDevice(organizationId), await newDevice(organizationId)]
    await schema.sql(`INSERT INTO end_device_last_seen VALUES ($1, '2026-01-02 03:04:05.000006+00')`, [heard])
    const lastSeenAt = { seconds: 1_767_323_045n, nanos: 6000 }
    expect((await api.client.call(devices.getEndDevice, { deviceId: heard })).endDevice).toMatchObject({ lastSeenAt })
    const { endDevices } = await api.client.call(devices.listEndDevices, { organizationId })
    expect(endDevices).toMatchObject([{ deviceId: heard, lastSeenAt }, { deviceId: silent }])
    expect(endDevices[1]).not.toHaveProperty('lastSeenAt')
    await schema.sql(`UPDATE end_device_last_seen SET last_heard_at = last_seen_at + interval '1 s',
      last_error_at = last_seen_at + interval '1 s', last_error = 'broken'`)
    const later = { seconds: lastSeenAt.seconds + 1n, nanos: 6000 }
    const { endDevice } = await api.client.call(devices.getEndDevice, { deviceId: heard })
    expect(endDevice).toMatchObject({ lastSeenAt, lastHeardAt: later, lastErrorAt: later, lastError: 'broken' })
  })

  test('creates, gets, lists, updates and deletes gateways', async () => {
    const organizationId = await newOrganization()
    const request = { organizationId, gatewayType: 'emqx', gatewayConfig: '{"host": "mqtt.example.com"}' }
    const { gateway } = await api.client.call(gateways.createGateway, request)
    const gatewayId = gateway?.gatewayId ?? ''
    expect(gateway).toMatchObject({ organizationId, name: '', gatewayType: 'emqx', status: GatewayStatus.PENDING })
    expect(gatewayId).toMatch(ID)
    expect(JSON.parse(gateway?.gatewayConfig ?? '')).toEqual({ host: 'mqtt.example.com' })
    expect((await api.client.call(gateways.getGateway, { gatewayId })).gateway).toMatchObject(gateway ?? {})
    expect((await api.client.call(gateways.listGateways, { organizationId })).gateways).toMatchObject([gateway])
    const updated = await api.client.call(gateways.updateGateway, { gatewayId, name: 'Roof', gatewayConfig: '' })
    const expected = { name: 'Roof', gatewayType: 'emqx', gatewayConfig: '{}', status: GatewayStatus.PENDING }
    expect(updated.gateway).toMatchObject(expected)
    expect((await api.client.call(gateways.deleteGateway, { gatewayId })).gateway?.deletedAt).toBeDefined()
    expect((await refusal(api.client.call(gateways.getGateway, { gatewayId }))).code).toBe(Status.NOT_FOUND)
  })
})

test('G-14: a gateway has the connection that its instance reports, and its status follows it', async () => {
  const organizationId = await newOrganization()
  const [failing, unreported] = [await newGateway(organizationId), await newGateway(organizationId)]
  await schema.sql(
    `INSERT INTO gateway_instances VALUES ('one', now()) ON CONFLICT (instance) DO UPDATE SET seen_at = now()`,
  )
  const text = `INSERT INTO gateway_connections
      (gateway_id, instance, epoch, state, since, started_at, last_error, retries, messages, refused)
    VALUES ($1, 'one', 1, 'failing', '2026-01-02 03:04:05.000006+00', '2026-01-02 03:04:00+00', 'no broker', 4, 7, 2)`
  await schema.sql(text, [failing])
  const connection = {
    state: GatewayConnectionState.FAILING,
    since: { seconds: 1_767_323_045n, nanos: 6000 },
    startedAt: { seconds: 1_767_323_040n, nanos: 0 },
    lastError: 'no broker',
    instance: 'one',
    retries: 4,
    messages: 7n,
    refusedMessages: 2n,
  }
  const get = async () => (await api.client.call(gateways.getGateway, { gatewayId: failing })).gateway
  expect(await get()).toMatchObject({ status: GatewayStatus.ERROR, connection })
  expect((await api.client.call(gateways.listGateways, { organizationId })).gateways).toMatchObject([
    { gatewayId: unreported, status: GatewayStatus.PENDING, connection: { state: GatewayConnectionState.UNKNOWN } },
    { gatewayId: failing, status: GatewayStatus.ERROR, connection },
  ])
  await schema.sql(`UPDATE gateway_connections SET state = 'running'; UPDATE gateways SET status = 'active'`)
  expect(await get()).toMatchObject({ status: GatewayStatus.ACTIVE })
  await schema.sql(`UPDATE gateway_instances SET seen_at = '2026-01-02 04:00:00+00'`)
  const seen = { seconds: 1_767_326_400n, nanos: 0 }
  const unknown = { state: GatewayConnectionState.UNKNOWN, since: seen, instance: 'one', lastError: 'no broker' }
  expect(await get()).toMatchObject({ status: GatewayStatus.PENDING, connection: unknown })
})

test('A-6 an organization can be deleted only if it has no devices and gateways, else FAILED_PRECONDITION', async () => {
  const organizationId = await newOrganization()
  const deviceId = await newDevice(organizationId)
  const gatewayId = await newGateway(organizationId)
  const remove = () => api.client.call(organizations.deleteOrganization, { organizationId })
  expect((await refusal(remove())).code).toBe(Status.FAILED_PRECONDITION)
  await api.client.call(devices.deleteEndDevice, { deviceId })
  expect((await refusal(remove())).code).toBe(Status.FAILED_PRECONDITION)
  await api.client.call(gateways.deleteGateway, { gatewayId })
  expect((await remove()).organization?.deletedAt).toBeDefined()
})

test('A-9 the server logs method, code, duration and organization without the payload, and counts calls', async () => {
  const name = 'payload-that-must-not-be-logged'
  const organizationId = await newOrganization(name)
  const deviceId = await newDevice(organizationId)
  await refusal(api.client.call(devices.getEndDevice, { deviceId: `${name}-2` }))
  await api.client.call(devices.getEndDevice, { deviceId })
  const method = 'ponix.end_device.v1.EndDeviceService/GetEndDevice'
  await expect.poll(() => api.log.at(-1)).toMatchObject({ method, code: 'OK' })
  expect(api.log.at(-1)).toEqual({
    level: 30,
    time: expect.any(Number),
    method,
    code: 'OK',
    duration_ms: expect.any(Number),
    organization_id: organizationId,
    msg: 'call',
  })
  expect(JSON.stringify(api.log)).not.toContain(name)
  const metrics = await api.registry.metrics()
  expect(metrics).toMatch(
    /ponix_api_calls_total\{method="ponix\.end_device\.v1\.EndDeviceService\/GetEndDevice",code="OK"\} \d/,
  )
  expect(metrics).toMatch(/ponix_api_calls_total\{method="[\w./]+GetEndDevice",code="NOT_FOUND"\} \d/)
  expect(metrics).toMatch(/ponix_api_call_duration_seconds_count\{method="[\w./]+GetEndDevice"\} \d/)
  expect(metrics).toMatch(/ponix_api_postgres_pool\{state="total"\} \d/)
})
