import type { EndDevice } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { type Gateway, GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import type { GrpcClient } from '../../src/proto/grpc-client.ts'
import { DEMO_DEVICES, type DemoDevice } from './devices.ts'

const ORGANIZATION_NAME = 'Demo'

/** What the demo works with; the same things again when it is started again. */
export interface Inventory {
  readonly organizationId: string
  readonly devices: readonly { readonly deviceId: string; readonly demo: DemoDevice }[]
}

/** Finds or creates the demo's organization, gateways and devices. */
export async function ensureInventory(api: GrpcClient, mqttUrl: string): Promise<Inventory> {
  const organizationId = await ensureOrganization(api)
  await ensureGateways(api, organizationId, mqttUrl)
  const known = await endDevices(api, organizationId)
  const devices: { deviceId: string; demo: DemoDevice }[] = []
  for (const demo of DEMO_DEVICES) {
    const device = known.find(({ name }) => name === demo.name) ?? (await createDevice(api, organizationId, demo))
    devices.push({ deviceId: device.deviceId, demo })
  }
  return { organizationId, devices }
}

async function ensureOrganization(api: GrpcClient): Promise<string> {
  for (let pageToken = ''; ;) {
    const page = await api.call(OrganizationService.method.listOrganizations, { pageSize: 500, pageToken })
    const found = page.organizations.find(({ name }) => name === ORGANIZATION_NAME)
    if (found) return found.id
    if (page.nextPageToken === '') break
    pageToken = page.nextPageToken
  }
  const { organization } = await api.call(OrganizationService.method.createOrganization, { name: ORGANIZATION_NAME })
  return present(organization).id
}

/** One that listens to the devices, and one that only says that it is there. */
async function ensureGateways(api: GrpcClient, organizationId: string, mqttUrl: string): Promise<void> {
  const wanted = [
    { name: 'Demo broker', gatewayType: 'mqtt', gatewayConfig: JSON.stringify({ broker_url: mqttUrl }) },
    { name: 'Demo printer', gatewayType: 'print', gatewayConfig: JSON.stringify({ site: 'roof' }) },
  ]
  const { gateways } = await api.call(GatewayService.method.listGateways, { organizationId, pageSize: 500 })
  for (const gateway of wanted) {
    const found = gateways.find(({ name }) => name === gateway.name)
    if (!found) await api.call(GatewayService.method.createGateway, { organizationId, ...gateway })
    else if (!sameConfig(found, gateway.gatewayConfig)) {
      const change = { gatewayId: found.gatewayId, gatewayConfig: gateway.gatewayConfig }
      await api.call(GatewayService.method.updateGateway, change)
    }
  }
}

function sameConfig(gateway: Gateway, config: string): boolean {
  return JSON.stringify(JSON.parse(gateway.gatewayConfig)) === config
}

async function endDevices(api: GrpcClient, organizationId: string): Promise<readonly EndDevice[]> {
  const page = await api.call(EndDeviceService.method.listEndDevices, { organizationId, pageSize: 500 })
  return page.endDevices
}

async function createDevice(api: GrpcClient, organizationId: string, demo: DemoDevice): Promise<EndDevice> {
  const { name, payloadConversion } = demo
  const created = await api.call(EndDeviceService.method.createEndDevice, { organizationId, name, payloadConversion })
  return present(created.endDevice)
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the API answered without the thing it created')
  return value
}
