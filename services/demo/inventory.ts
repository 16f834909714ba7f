import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import type { GrpcClient } from '../../src/proto/grpc.ts'
import { DEMO_APPLICATION_ID } from './chirpstack.ts'

const ORGANIZATION_NAME = 'Demo'

/** The entities of the demo; a restart reuses them. */
export interface Inventory {
  readonly organizationId: string
  readonly devices: readonly { readonly deviceId: string; readonly demo: DemoDevice }[]
}

/** Finds or creates the demo's organization, gateways and devices. */
export async function ensureInventory(api: GrpcClient, mqttUrl: string): Promise<Inventory> {
  const organizationId = await ensureOrganization(api)
  await ensureGateways(api, organizationId, mqttUrl)
  const known = await api.call(EndDeviceService.method.listEndDevices, { organizationId, pageSize: 500 })
  const devices: { deviceId: string; demo: DemoDevice }[] = []
  for (const demo of DEMO_DEVICES) {
    const device = known.endDevices.find(({ name }) => name === demo.name)
    devices.push({ deviceId: device?.deviceId ?? (await createDevice(api, organizationId, demo)), demo })
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
  return createdId(organization?.id)
}

/** Ensures gateways of the types `mqtt` and `chirpstack`, which subscribe to the devices, and a gateway of type `print`. */
async function ensureGateways(api: GrpcClient, organizationId: string, mqttUrl: string): Promise<void> {
  const wanted = [
    { name: 'Demo broker', gatewayType: 'mqtt', gatewayConfig: JSON.stringify({ broker_url: mqttUrl }) },
    {
      name: 'Demo ChirpStack',
      gatewayType: 'chirpstack',
      gatewayConfig: JSON.stringify({ broker_url: mqttUrl, application_id: DEMO_APPLICATION_ID }),
    },
    { name: 'Demo printer', gatewayType: 'print', gatewayConfig: JSON.stringify({ site: 'roof' }) },
  ]
  const { gateways } = await api.call(GatewayService.method.listGateways, { organizationId, pageSize: 500 })
  for (const gateway of wanted) {
    const found = gateways.find(({ name }) => name === gateway.name)
    if (!found) await api.call(GatewayService.method.createGateway, { organizationId, ...gateway })
    else if (JSON.stringify(JSON.parse(found.gatewayConfig)) !== gateway.gatewayConfig) {
      const change = { gatewayId: found.gatewayId, gatewayConfig: gateway.gatewayConfig }
      await api.call(GatewayService.method.updateGateway, change)
    }
  }
}

async function createDevice(api: GrpcClient, organizationId: string, demo: DemoDevice): Promise<string> {
  const { name, payloadConversion, devEui } = demo
  const request = { organizationId, name, payloadConversion, externalId: devEui ?? '' }
  const created = await api.call(EndDeviceService.method.createEndDevice, request)
  return createdId(created.endDevice?.deviceId)
}

function createdId(id: string | undefined): string {
  if (id === undefined) throw new Error('the API response does not contain the id of the created entity')
  return id
}

/** A value of a Cayenne LPP message: channel, type id, data (big-endian). */
type LppValue = readonly [channel: number, type: number, ...data: number[]]

const TYPE = { digitalInput: 0, temperature: 103, humidity: 104, barometer: 115, voltage: 116, gps: 136 } as const

export interface DemoDevice {
  readonly name: string
  readonly payloadConversion: string
  /** Of a LoRaWAN device, whose messages come from ChirpStack. */
  readonly devEui?: string
  /** Encodes the payload for a time of day; `noise` returns values between −1 and 1. */
  readonly measure: (at: Date, noise: () => number) => Uint8Array
}

const i16 = (value: number): number[] => [(Math.round(value) >> 8) & 0xff, Math.round(value) & 0xff]
const i24 = (value: number): number[] => [(Math.round(value) >> 16) & 0xff, ...i16(value)]

const lpp = (...values: LppValue[]): Uint8Array => Uint8Array.from(values.flat())

/** Returns the relative temperature at a time of day: −1 at 04:00 UTC, 1 at 16:00 UTC. */
function warmth(at: Date): number {
  const hours = at.getUTCHours() + at.getUTCMinutes() / 60
  return -Math.cos(((hours - 4) / 12) * Math.PI)
}

/** Returns the position on a round trip that takes ten minutes. */
function positionOf(at: Date): { latitude: number; longitude: number } {
  const angle = ((at.getTime() / 600_000) % 1) * 2 * Math.PI
  return { latitude: 49.4447 + 0.01 * Math.sin(angle), longitude: 7.7689 + 0.02 * Math.cos(angle) }
}

export const DEMO_DEVICES: readonly DemoDevice[] = [
  {
    name: 'Greenhouse',
    payloadConversion: 'cayenne_lpp_decode(input)',
    measure: (at, noise) =>
      lpp(
        [0, TYPE.temperature, ...i16((22 + 6 * warmth(at) + 0.5 * noise()) * 10)],
        [1, TYPE.humidity, Math.round((65 - 15 * warmth(at) + 2 * noise()) * 2)],
        [2, TYPE.barometer, ...i16((1013 + 3 * noise()) * 10)],
      ),
  },
  {
    name: 'Cold store',
    payloadConversion:
      '{"celsius": cayenne_lpp_decode(input).temperature_1, "door_open": cayenne_lpp_decode(input).digital_input_2 == 1, "battery_volts": cayenne_lpp_decode(input).voltage_3}',
    measure: (_at, noise) =>
      lpp(
        [1, TYPE.temperature, ...i16((-18 + 0.8 * noise()) * 10)],
        [2, TYPE.digitalInput, noise() > 0.9 ? 1 : 0],
        [3, TYPE.voltage, ...i16((3.6 + 0.05 * noise()) * 100)],
      ),
  },
  {
    name: 'Delivery van',
    payloadConversion: 'cayenne_lpp_decode(input)',
    measure: (at, noise) => {
      const { latitude, longitude } = positionOf(at)
      return lpp([1, TYPE.gps, ...i24(latitude * 1e4), ...i24(longitude * 1e4), ...i24((236 + 2 * noise()) * 100)])
    },
  },
  {
    name: 'Vineyard',
    devEui: '70b3d57ed0000001',
    payloadConversion:
      'f_port == 2 ? {"celsius": cayenne_lpp_decode(input).temperature_0, "rssi": metadata.rssi, "uplink": f_cnt} : {}',
    measure: (at, noise) => lpp([0, TYPE.temperature, ...i16((18 + 8 * warmth(at) + 0.5 * noise()) * 10)]),
  },
]
