import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GatewayService } from '../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { metricsTable } from '../rig/documents/exposed-metrics.ts'
import { withGeneratedSection } from '../rig/documents/generated-section.ts'
import { Graph } from '../rig/orchestrator/graph.ts'
import { emptyFolder } from '../rig/empty-folder.ts'
import { builtProgram, Program, projectRoot } from '../rig/program.ts'
import { GraphClient } from '../rig/services/graph-client.ts'

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
  let client: GraphClient
  let organizationId: string

  beforeAll(async () => {
    graph = await Graph.start({ args: ['--disable', 'demo'] })
    await graph.line(/^\[orchestrator\] .*all .*ready/)
    client = new GraphClient(graph)
    organizationId = await client.createOrganization('End to end')
  }, 600_000)

  afterAll(async () => {
    client.close()
    await graph[Symbol.asyncDispose]()
  })

  it('turns 100 MQTT messages into exactly 100 rows', async () => {
    const device = await client.createDevice(organizationId)
    await client.createMqttGateway(organizationId)

    const publisher = await client.connectDevice(device)
    await Promise.all(Array.from({ length: MESSAGES }, () => publisher.publish(device.topic, PAYLOAD)))
    await publisher.close()

    const rows = (): Promise<readonly object[]> =>
      client.query(`SELECT organization_id, data.temperature_0 AS t, data.humidity_1 AS h, data.barometer_2 AS b
             FROM processed_envelopes WHERE end_device_id = '${device.deviceId}'`)
    await expect.poll(async () => (await rows()).length, { timeout: 60_000 }).toBe(MESSAGES)
    const expected = { organization_id: organizationId, t: 25.5, h: 65, b: 1013.3 }
    expect(await rows()).toEqual(Array.from({ length: MESSAGES }, () => expected))
  })

  it('G-3 restarts a gateway with its new configuration, and stops it when it is deleted', async () => {
    const gatewayId = await client.createGateway(organizationId, 'print', { site: 'roof' })
    const before = await graph.line(new RegExp(`${gatewayId}.*roof|roof.*${gatewayId}`))

    const gatewayConfig = JSON.stringify({ site: 'cellar' })
    await client.api.call(GatewayService.method.updateGateway, { gatewayId, gatewayConfig })
    const after = await graph.line(new RegExp(`${gatewayId}.*cellar|cellar.*${gatewayId}`), before.next)

    await client.api.call(GatewayService.method.deleteGateway, { gatewayId })
    await graph.line(
      new RegExp(`gateway-orchestrator.*${gatewayId}.*stopped|gateway-orchestrator.*stopped.*${gatewayId}`),
      after.next,
    )
    const response = await fetch(`http://127.0.0.1:${graph.ports.PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT}/gateways`)
    expect(await response.text()).not.toContain(gatewayId)
  })

  it('serves status and metrics over HTTP (O-9, O-41)', async () => {
    const url = `http://127.0.0.1:${graph.ports.PONIX_DASHBOARD_PORT}`
    const { processes } = (await (await fetch(`${url}/status`)).json()) as { processes: readonly object[] }
    expect(processes).toContainEqual(expect.objectContaining({ name: 'analytics', state: 'ready' }))
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('ponix_process_ready{process="analytics"} 1\n')
  })

  it('exposes the metrics of docs/metrics.md, which -u writes', async () => {
    const ports = {
      orchestrator: graph.ports.PONIX_DASHBOARD_PORT,
      api: graph.ports.PONIX_API_HTTP_PORT,
      cdc: graph.ports.PONIX_CDC_HTTP_PORT,
      'gateway-orchestrator': graph.ports.PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT,
      analytics: graph.ports.PONIX_ANALYTICS_HTTP_PORT,
    }
    const expositions = await Promise.all(
      Object.entries(ports).map(async ([program, port]) => ({
        program,
        text: await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
      })),
    )
    const path = join(projectRoot, 'docs/metrics.md')
    await expect(await withGeneratedSection(path, 'metrics', metricsTable(expositions))).toMatchFileSnapshot(path)
  })

  it('exits with 0 on Ctrl-C and leaves no process', async () => {
    expect(await graph.survivors()).not.toEqual([])
    graph.signal('SIGINT')
    expect(await graph.ended()).toBe(0)
    expect(await graph.survivors()).toEqual([])
  })
})

it('G-13: replicas of gateway-orchestrator in the default graph have ports of their own', async () => {
  const config = join(emptyFolder(), 'commonplace.json')
  const processes = { 'gateway-orchestrator': { replicas: 9 } }
  await writeFile(config, JSON.stringify({ extends: join(projectRoot, 'commonplace.json'), processes }))
  const environment = async (replica: number) => {
    const args = [builtProgram('cli'), 'validate', '--config', config, '--show-env', `gateway-orchestrator#${replica}`]
    return await new Program(process.execPath, args).outcome
  }
  for (const replica of [1, 9]) {
    const stdout = expect.stringContaining(`PONIX_GATEWAY_ORCHESTRATOR_HTTP_PORT=191${replica}3\n`)
    expect(await environment(replica)).toEqual({ code: 0, stdout, stderr: '' })
  }
})
