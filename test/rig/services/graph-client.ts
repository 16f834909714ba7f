import { connectMqttPublisher, type MqttPublisher } from '../../../src/mqtt/client.ts'
import { EndDeviceService } from '../../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { GatewayService } from '../../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { OrganizationService } from '../../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { GrpcClient } from '../../../src/proto/grpc.ts'
import type { Graph } from '../orchestrator/graph.ts'

export interface Device {
  readonly organizationId: string
  readonly deviceId: string
  readonly topic: string
}

/** Uses a running graph as its users do: manages over gRPC, publishes over MQTT, reads from ClickHouse. */
export class GraphClient {
  readonly api: GrpcClient
  readonly #graph: Graph

  constructor(graph: Graph) {
    this.#graph = graph
    this.api = new GrpcClient(`127.0.0.1:${graph.ports.PONIX_GRPC_PORT}`)
  }

  async createOrganization(name: string): Promise<string> {
    const { organization } = await this.api.call(OrganizationService.method.createOrganization, { name })
    return organization?.id ?? ''
  }

  /** Creates a device whose payloads are Cayenne LPP. */
  async createDevice(organizationId: string): Promise<Device> {
    const request = { organizationId, name: 'Sensor Alpha', payloadConversion: 'cayenne_lpp_decode(input)' }
    const { endDevice } = await this.api.call(EndDeviceService.method.createEndDevice, request)
    const deviceId = endDevice?.deviceId ?? ''
    return { organizationId, deviceId, topic: `${organizationId}/${deviceId}` }
  }

  async createGateway(organizationId: string, gatewayType: string, config: object): Promise<string> {
    const gatewayConfig = JSON.stringify(config)
    const request = { organizationId, gatewayType, gatewayConfig }
    const { gateway } = await this.api.call(GatewayService.method.createGateway, request)
    return gateway?.gatewayId ?? ''
  }

  /** Creates a gateway on the broker of the graph; resolves with its id when it has subscribed. */
  async createMqttGateway(organizationId: string): Promise<string> {
    const id = await this.createGateway(organizationId, 'EMQX', { broker_url: this.brokerUrl })
    await this.#graph.line(new RegExp(`gateway-orchestrator.*(running.*${id}|${id}.*running)`))
    return id
  }

  get brokerUrl(): string {
    return `mqtt://127.0.0.1:${this.#graph.ports.PONIX_MQTT_PORT}`
  }

  connectDevice({ deviceId }: Device): Promise<MqttPublisher> {
    return connectMqttPublisher({ brokerUrl: this.brokerUrl, clientId: deviceId })
  }

  /** Runs a query; rejects with the error text of ClickHouse. */
  async query<T>(sql: string): Promise<readonly T[]> {
    const url = `http://127.0.0.1:${this.#graph.ports.PONIX_CLICKHOUSE_PORT}/?database=ponix&default_format=JSONEachRow`
    const headers = { 'X-ClickHouse-User': 'ponix', 'X-ClickHouse-Key': 'ponix' }
    const response = await fetch(url, { method: 'POST', body: sql, headers })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    const lines = text.split('\n').filter((line) => line !== '')
    return lines.map((line) => JSON.parse(line) as T)
  }

  close(): void {
    this.api.close()
  }
}
