import { fromJson } from '@bufbuild/protobuf'
import { status as Status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createIdGenerator } from '../../src/domain/ids.ts'
import { TestSchema } from '../../src/postgres/test-schema.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService, GatewayStatus } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import {
  OrganizationService,
  OrganizationStatus,
  UpdateOrganizationRequestSchema,
} from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { refusal, TestApi } from './test-api.ts'

/** Less than the 10 seconds after which the server ends a statement whoever waits for it. */
const BEFORE_THE_SERVER = { timeout: 7_000 }

const organizations = OrganizationService.method
const devices = EndDeviceService.method
const gateways = GatewayService.method
const ID = /^[0-9a-v]{20}$/

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

async function newOrganization(name = 'Acme'): Promise<string> {
  const { organization } = await api.client.call(organizations.createOrganization, { name })
  return organization?.id ?? ''
}

async function newDevice(organizationId: string): Promise<string> {
  const { endDevice } = await api.client.call(devices.createEndDevice, { organizationId, name: 'Sensor' })
  return endDevice?.deviceId ?? ''
}

async function newGateway(organizationId: string, gatewayConfig = ''): Promise<string> {
  const request = { organizationId, gatewayType: 'print', gatewayConfig }
  const { gateway } = await api.client.call(gateways.createGateway, request)
  return gateway?.gatewayId ?? ''
}

describe('W-3 every method answers', () => {
  test('organizations: create, get, list, update, delete', async () => {
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

  test('end devices: create, get, list, update, delete', async () => {
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

  test('P-11: a device shows when it was last heard, after the first time', async () => {
    const organizationId = await newOrganization()
    const [silent, heard] = [await newDevice(organizationId), await newDevice(organizationId)]
    await schema.sql(`INSERT INTO end_device_last_seen VALUES ($1, '2026-01-02 03:04:05.000006+00')`, [heard])
    const lastSeenAt = { seconds: 1_767_323_045n, nanos: 6000 }
    expect((await api.client.call(devices.getEndDevice, { deviceId: heard })).endDevice).toMatchObject({ lastSeenAt })
    const { endDevices } = await api.client.call(devices.listEndDevices, { organizationId })
    expect(endDevices).toMatchObject([{ deviceId: heard, lastSeenAt }, { deviceId: silent }])
    expect(endDevices[1]).not.toHaveProperty('lastSeenAt')
  })

  test('gateways: create, get, list, update, delete', async () => {
    const organizationId = await newOrganization()
    const request = { organizationId, gatewayType: 'emqx', gatewayConfig: '{"host": "mqtt.example.com"}' }
    const { gateway } = await api.client.call(gateways.createGateway, request)
    const gatewayId = gateway?.gatewayId ?? ''
    expect(gateway).toMatchObject({ organizationId, name: '', gatewayType: 'emqx', status: GatewayStatus.ACTIVE })
    expect(gatewayId).toMatch(ID)
    expect(JSON.parse(gateway?.gatewayConfig ?? '')).toEqual({ host: 'mqtt.example.com' })
    expect((await api.client.call(gateways.getGateway, { gatewayId })).gateway).toEqual(gateway)
    expect((await api.client.call(gateways.listGateways, { organizationId })).gateways).toEqual([gateway])
    const change = { gatewayId, name: 'Roof', gatewayConfig: '', status: GatewayStatus.ERROR }
    const updated = await api.client.call(gateways.updateGateway, change)
    const expected = { name: 'Roof', gatewayType: 'emqx', gatewayConfig: '{}', status: GatewayStatus.ERROR }
    expect(updated.gateway).toMatchObject(expected)
    expect((await api.client.call(gateways.deleteGateway, { gatewayId })).gateway?.deletedAt).toBeDefined()
    expect((await refusal(api.client.call(gateways.getGateway, { gatewayId }))).code).toBe(Status.NOT_FOUND)
  })
})

describe('A-4 what is wrong with a request', () => {
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
    'blank, number $index: INVALID_ARGUMENT names $field',
    async ({ field, call }) => {
      const details = `${field} is required and must not be blank`
      expect(await refusal(call())).toEqual({ code: Status.INVALID_ARGUMENT, details })
    },
  )

  test('an organization that is missing or deleted: NOT_FOUND with its id', async () => {
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

  test('a device or gateway that is missing or deleted: NOT_FOUND with its id', async () => {
    const gatewayId = await newGateway(await newOrganization())
    await api.client.call(gateways.deleteGateway, { gatewayId })
    const gone = { code: Status.NOT_FOUND, details: `Gateway not found: ${gatewayId}` }
    expect(await refusal(api.client.call(gateways.updateGateway, { gatewayId, name: 'x' }))).toEqual(gone)
    expect(await refusal(api.client.call(gateways.deleteGateway, { gatewayId }))).toEqual(gone)
    const missing = { code: Status.NOT_FOUND, details: 'End device not found: nothing' }
    expect(await refusal(api.client.call(devices.deleteEndDevice, { deviceId: 'nothing' }))).toEqual(missing)
  })

  test('an expression that does not compile: INVALID_ARGUMENT with its place, at creation and at update', async () => {
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

  test('a config that is no JSON object and an unknown status: INVALID_ARGUMENT', async () => {
    const organizationId = await newOrganization()
    const list = refusal(newGateway(organizationId, '[1]'))
    expect((await list).details).toMatch(/^gateway_config must be a JSON object/)
    const gatewayId = await newGateway(organizationId)
    const unspecified = api.client.call(gateways.updateGateway, { gatewayId, status: GatewayStatus.UNSPECIFIED })
    expect((await refusal(unspecified)).details).toBe('status must be ACTIVE, ERROR or PENDING')
    const future = fromJson(UpdateOrganizationRequestSchema, { organizationId, status: 77 })
    const unknown = api.client.call(organizations.updateOrganization, future)
    expect((await refusal(unknown)).details).toBe('status must be PENDING, ACTIVE or INACTIVE')
  })

  test('a request that is no message of its type: INVALID_ARGUMENT', async () => {
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

  test('a method that does not exist: UNIMPLEMENTED', async () => {
    const bytes = (buffer: Buffer): Buffer => buffer
    const path = `/${GatewayService.typeName}/Nope`
    const call = new Promise((_resolve, reject) => {
      api.channel.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), reject)
    })
    expect((await refusal(call)).code).toBe(Status.UNIMPLEMENTED)
  })

  test('an error that nobody foresaw: INTERNAL without its text, which is in the log', async () => {
    const broken = await TestSchema.create(inject('postgres'))
    await using own = await TestApi.start(broken.options)
    await broken.sql('ALTER TABLE gateways RENAME COLUMN name TO secret_name')
    const call = own.client.call(gateways.getGateway, { gatewayId: 'x' })
    expect(await refusal(call)).toEqual({ code: Status.INTERNAL, details: 'Internal error' })
    const line = own.log.find(({ code }) => code === 'INTERNAL')
    expect(line).toMatchObject({ level: 50, err: { message: 'column "name" does not exist' } })
  })
})

describe('A-5 limits', () => {
  test('every string has its limit', async () => {
    const long = 'x'.repeat(70_000)
    const organizationId = 'x'
    const calls = [
      api.client.call(organizations.createOrganization, { name: long }),
      api.client.call(organizations.getOrganization, { organizationId: long }),
      api.client.call(organizations.listOrganizations, { pageToken: long }),
      api.client.call(devices.createEndDevice, { organizationId: long, name: 'x' }),
      api.client.call(devices.createEndDevice, { organizationId, name: long }),
      api.client.call(devices.createEndDevice, { organizationId, name: 'x', payloadConversion: long }),
      api.client.call(devices.getEndDevice, { deviceId: long }),
      api.client.call(gateways.createGateway, { organizationId, gatewayType: long }),
      api.client.call(gateways.createGateway, { organizationId, gatewayType: 'x', name: long }),
      api.client.call(gateways.createGateway, { organizationId, gatewayType: 'x', gatewayConfig: `{"a": "${long}"}` }),
      api.client.call(gateways.getGateway, { gatewayId: long }),
    ]
    for (const { code, details } of await Promise.all(calls.map(refusal))) {
      expect(code).toBe(Status.INVALID_ARGUMENT)
      expect(details).toContain(' is too long: ')
    }
  })

  test('a request beyond 256 KiB is not taken in', async () => {
    const call = api.client.call(organizations.createOrganization, { name: 'x'.repeat(300_000) })
    expect((await refusal(call)).code).toBe(Status.RESOURCE_EXHAUSTED)
  })

  test('lists come in pages, newest first, each thing once, and the last page has no token', async () => {
    const organizationId = await newOrganization()
    const made: string[] = []
    for (let index = 0; index < 7; index += 1) made.unshift(await newGateway(organizationId))
    const seen: string[] = []
    const sizes: number[] = []
    let pageToken = ''
    do {
      const page = await api.client.call(gateways.listGateways, { organizationId, pageSize: 3, pageToken })
      seen.push(...page.gateways.map((gateway) => gateway.gatewayId))
      sizes.push(page.gateways.length)
      pageToken = page.nextPageToken
      await newGateway(organizationId)
    } while (pageToken !== '')
    expect(seen).toEqual(made)
    expect(sizes).toEqual([3, 3, 1])
  })

  test('a broken token and a negative size are INVALID_ARGUMENT, an unknown organization has an empty list', async () => {
    const organizationId = 'nobody'
    const broken = api.client.call(devices.listEndDevices, { organizationId, pageToken: 'AAAA' })
    expect((await refusal(broken)).code).toBe(Status.INVALID_ARGUMENT)
    const negative = api.client.call(devices.listEndDevices, { organizationId, pageSize: -1 })
    expect((await refusal(negative)).details).toContain('page_size must be 0')
    const empty = await api.client.call(devices.listEndDevices, { organizationId })
    expect(empty).toMatchObject({ endDevices: [], nextPageToken: '' })
  })

  test('a page of large configs stays within what clients accept', async () => {
    const organizationId = await newOrganization()
    const newId = createIdGenerator()
    const config = JSON.stringify({ ca: 'x'.repeat(60_000) })
    for (let index = 0; index < 80; index += 1) {
      await schema.sql(
        "INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config) VALUES ($1, $2, '', 'x', $3)",
        [newId(), organizationId, config],
      )
    }
    const first = await api.client.call(gateways.listGateways, { organizationId, pageSize: 500 })
    expect(first.gateways).toHaveLength(52)
    const { nextPageToken: pageToken } = first
    const second = await api.client.call(gateways.listGateways, { organizationId, pageSize: 500, pageToken })
    expect(second.gateways).toHaveLength(28)
  })
})

test('A-6 an organization that still has a device or a gateway is FAILED_PRECONDITION, and goes once it has none', async () => {
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

describe('A-4 deadlines and cancellation reach the database', () => {
  /** Calls while the row is locked by somebody else, so that the statement waits in the server. */
  async function whileLocked(use: (gatewayId: string) => Promise<void>): Promise<void> {
    const gatewayId = await newGateway(await newOrganization())
    await schema.transaction(async (client) => {
      await client.query('SELECT FROM gateways WHERE gateway_id = $1 FOR UPDATE', [gatewayId])
      await use(gatewayId)
    })
  }

  test('a deadline ends the statement in the server', async () => {
    await whileLocked(async (gatewayId) => {
      const call = refusal(api.client.call(gateways.updateGateway, { gatewayId, name: 'x' }, { timeoutMs: 3000 }))
      await expect.poll(() => schema.waitingForLocks()).toBe(1)
      expect((await call).code).toBe(Status.DEADLINE_EXCEEDED)
      await expect.poll(() => schema.waitingForLocks(), BEFORE_THE_SERVER).toBe(0)
      await expect.poll(() => api.log.at(-1)).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    })
  })

  test('a cancelled call ends its statement too', async () => {
    await whileLocked(async (gatewayId) => {
      const bytes = (buffer: Buffer): Buffer => buffer
      const path = `/${GatewayService.typeName}/DeleteGateway`
      const request = Buffer.concat([Buffer.from([0x0a, gatewayId.length]), Buffer.from(gatewayId)])
      const call = api.channel.makeUnaryRequest(path, bytes, bytes, request, () => {})
      await expect.poll(() => schema.waitingForLocks()).toBe(1)
      call.cancel()
      await expect.poll(() => schema.waitingForLocks(), BEFORE_THE_SERVER).toBe(0)
      await expect.poll(() => api.log.at(-1)).toMatchObject({ code: 'CANCELLED' })
    })
  })
})

test('A-8 the request log has method, code, duration and organization, and no payload; the metrics count', async () => {
  const name = 'payload-that-nobody-may-log'
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
