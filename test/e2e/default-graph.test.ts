import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/publisher.ts'
import { EndDeviceService } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { GrpcClient } from '../../src/proto/grpc-client.ts'
import { Graph } from '../rig/graph.ts'

/** 0: temperature 25.5, 1: humidity 65, 2: pressure 1013.3 */
const PAYLOAD = Uint8Array.of(0x00, 0x67, 0x00, 0xff, 0x01, 0x68, 0x82, 0x02, 0x73, 0x27, 0x95)
const MESSAGES = 100

/*
 *  postgres ── migrate ──┬── api
 *  nats ───────┘         ├── cdc
 *  clickhouse ─┘         ├── gateway-orchestrator ── (mqtt)
 *  mqtt                  └── analytics                          the default graph without the demo
 */
describe('the default graph', () => {
  let graph: Graph
  let api: GrpcClient
  let organizationId: string

  beforeAll(async () => {
    graph = await Graph.start({ args: ['--disable', 'demo'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
    api = new GrpcClient(`127.0.0.1:${graph.ports.PONIX_GRPC_PORT}`)
    const created = await api.call(OrganizationService.method.createOrganization, { name: 'End to end' })
    organizationId = created.organization?.id ?? ''
  }, 600_000)

  afterAll(async () => {
    api.close()
    await graph.destroy()
  })

  async function query<T>(sql: string): Promise<readonly T[]> {
    const url = `http://127.0.0.1:${graph.ports.PONIX_CLICKHOUSE_PORT}/?database=ponix&default_format=JSONEachRow`
    const response = await fetch(url, {
      method: 'POST',
      body: sql,
      headers: { 'X-ClickHouse-User': 'ponix', 'X-ClickHouse-Key': 'ponix' },
    })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T)
  }

  async function createGateway(gatewayType: string, config: object): Promise<string> {
    const gatewayConfig = JSON.stringify(config)
    const created = await api.call(GatewayService.method.createGateway, { organizationId, gatewayType, gatewayConfig })
    return created.gateway?.gatewayId ?? ''
  }

  it('turns 100 MQTT messages into exactly 100 rows', async () => {
    const { endDevice } = await api.call(EndDeviceService.method.createEndDevice, {
      organizationId,
      name: 'Sensor Alpha',
      payloadConversion: 'cayenne_lpp_decode(input)',
    })
    const deviceId = endDevice?.deviceId ?? ''
    const brokerUrl = `mqtt://127.0.0.1:${graph.ports.PONIX_MQTT_PORT}`
    const gatewayId = await createGateway('EMQX', { broker_url: brokerUrl })
    await graph.line(
      new RegExp(`gateway-orchestrator.*running.*${gatewayId}|gateway-orchestrator.*${gatewayId}.*running`),
    )

    const device = await connectMqttPublisher({ brokerUrl, clientId: deviceId })
    await Promise.all(Array.from({ length: MESSAGES }, () => device.publish(`${organizationId}/${deviceId}`, PAYLOAD)))
    await device.close()

    const rows = (): Promise<readonly object[]> =>
      query(`SELECT organization_id, data.temperature_0 AS t, data.humidity_1 AS h, data.barometer_2 AS b
             FROM processed_envelopes WHERE end_device_id = '${deviceId}'`)
    await expect.poll(async () => (await rows()).length, { timeout: 60_000 }).toBe(MESSAGES)
    const expected = { organization_id: organizationId, t: 25.5, h: 65, b: 1013.3 }
    expect(await rows()).toEqual(Array.from({ length: MESSAGES }, () => expected))
  })

  it('G-3 restarts a gateway with its new config, and stops it when it is deleted', async () => {
    const gatewayId = await createGateway('print', { site: 'roof' })
    const before = await graph.line(new RegExp(`${gatewayId}.*roof|roof.*${gatewayId}`))

    const gatewayConfig = JSON.stringify({ site: 'cellar' })
    await api.call(GatewayService.method.updateGateway, { gatewayId, gatewayConfig })
    const after = await graph.line(new RegExp(`${gatewayId}.*cellar|cellar.*${gatewayId}`), before.next)

    await api.call(GatewayService.method.deleteGateway, { gatewayId })
    await graph.line(
      new RegExp(`gateway-orchestrator.*${gatewayId}.*stopped|gateway-orchestrator.*stopped.*${gatewayId}`),
      after.next,
    )
    const response = await fetch(`http://127.0.0.1:${graph.ports.PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT}/gateways`)
    expect(await response.text()).not.toContain(gatewayId)
  })

  it('ends with 0 on Ctrl-C and leaves nothing behind', async () => {
    expect(await graph.survivors()).not.toEqual([])
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
    expect(await graph.survivors()).toEqual([])
  })
})
