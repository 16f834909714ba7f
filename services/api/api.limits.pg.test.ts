import { status as Status } from '@grpc/grpc-js'
import { beforeAll, describe, expect, test } from 'vitest'
import { createIdGenerator } from '../../src/domain/ids.ts'
import type { TestSchema } from '../../test/rig/adapters/test-schema.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { apiForAll, refusal, type TestApi } from '../../test/rig/services/api.ts'

/** The time limit of a test, less than the 10 s statement timeout of the server. */
const BEFORE_THE_SERVER = { timeout: 7_000 }

const organizations = OrganizationService.method
const devices = EndDeviceService.method
const gateways = GatewayService.method

const rig = apiForAll()
const { newOrganization, newGateway } = rig
let schema: TestSchema
let api: TestApi

beforeAll(() => {
  ;({ schema, api } = rig)
})

describe('A-5 the API', () => {
  test('limits every string', async () => {
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

  test('rejects a request beyond 256 KiB', async () => {
    const call = api.client.call(organizations.createOrganization, { name: 'x'.repeat(300_000) })
    expect((await refusal(call)).code).toBe(Status.RESOURCE_EXHAUSTED)
  })

  test('lists in pages, newest first, each item once, without a token on the last page', async () => {
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

  test('rejects a broken token and a negative size; an unknown organization has an empty list', async () => {
    const organizationId = 'nobody'
    const broken = api.client.call(devices.listEndDevices, { organizationId, pageToken: 'AAAA' })
    expect((await refusal(broken)).code).toBe(Status.INVALID_ARGUMENT)
    const negative = api.client.call(devices.listEndDevices, { organizationId, pageSize: -1 })
    expect((await refusal(negative)).details).toContain('page_size must be 0')
    const empty = await api.client.call(devices.listEndDevices, { organizationId })
    expect(empty).toMatchObject({ endDevices: [], nextPageToken: '' })
  })

  test('keeps a page of large configs below the message limit of clients', async () => {
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

describe('A-4 the API passes deadlines and cancellation to the database', () => {
  /** Sends a call while another connection locks the row, so that the statement waits in the server. */
  async function whileLocked(use: (gatewayId: string) => Promise<void>): Promise<void> {
    const gatewayId = await newGateway(await newOrganization())
    await schema.transaction(async (client) => {
      await client.query('SELECT FROM gateways WHERE gateway_id = $1 FOR UPDATE', [gatewayId])
      await use(gatewayId)
    })
  }

  test('it ends the statement in PostgreSQL at the deadline', async () => {
    await whileLocked(async (gatewayId) => {
      const call = refusal(api.client.call(gateways.updateGateway, { gatewayId, name: 'x' }, { timeoutMs: 3000 }))
      await expect.poll(() => schema.waitingForLocks()).toBe(1)
      expect((await call).code).toBe(Status.DEADLINE_EXCEEDED)
      await expect.poll(() => schema.waitingForLocks(), BEFORE_THE_SERVER).toBe(0)
      await expect.poll(() => api.log.at(-1)).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    })
  })

  test('it ends the statement of a cancelled call', async () => {
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
