import { randomUUID } from 'node:crypto'
import { toBinary } from '@bufbuild/protobuf'
import { headers } from '@nats-io/nats-core'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, onTestFinished, vi } from 'vitest'
import type { Gateway, JsonObject, RawEnvelope } from '../../../src/domain/entities.ts'
import { connectMqttPublisher, type MqttPublisher } from '../../../src/mqtt/client.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { ensureStreams } from '../../../src/nats/streams.ts'
import { TestSchema } from '../adapters/test-schema.ts'
import { decodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { gatewayToProto } from '../../../src/proto/entities.ts'
import { GatewaySchema } from '../../../src/proto/gen/ponix/gateway/v1/gateway_pb.ts'
import { connectTo, PLATFORM_STREAMS } from '../adapters/nats-client.ts'
import {
  freePort,
  startMqtt,
  startNats,
  startPostgres,
  type MqttAddress,
  type NatsAddress,
  type PostgresAddress,
  type ServerControl,
} from '../servers.ts'
import { RunningService } from './running-service.ts'

// Runs the real program with one PostgreSQL, NATS and MQTT broker per test file.

export const WAIT = { timeout: 50_000, interval: 20 }
const DURABLE = 'gateway-cdc-consumer'

/** The commit of a change in PostgreSQL's log. */
export interface Commit {
  readonly lsn: string
  readonly transactionId: string
}

/** A message in a stream. */
export interface Stored {
  readonly subject: string
  readonly body: Uint8Array
  header(name: string): string
}

/** The servers of a rig. */
interface Servers {
  readonly postgres: PostgresAddress & ServerControl
  readonly nats: NatsAddress & ServerControl
  readonly mqtt: MqttAddress & ServerControl
  readonly client: NatsClient
}

export class GatewayRig implements AsyncDisposable {
  #servers: Servers | undefined
  #database: TestSchema | undefined
  readonly #running: RunningService[] = []

  static async start(startBroker = startMqtt): Promise<GatewayRig> {
    const rig = new GatewayRig()
    await rig.#start(startBroker)
    return rig
  }

  /** Returns a rig for a test file: it registers hooks that start the servers, and call `begin` and `end` for each test. */
  static forEach(startBroker = startMqtt): GatewayRig {
    const rig = new GatewayRig()
    beforeAll(() => rig.#start(startBroker))
    afterAll(() => rig[Symbol.asyncDispose]())
    beforeEach(() => rig.begin())
    afterEach(() => rig.end())
    return rig
  }

  async #start(startBroker: () => Promise<Servers['mqtt']>): Promise<void> {
    const [postgres, nats, mqtt] = await Promise.all([startPostgres(), startNats(), startBroker()])
    this.#servers = { postgres, nats, mqtt, client: await connectTo(nats.url) }
  }

  get #started(): Servers {
    if (this.#servers === undefined) throw new Error('the servers have not started')
    return this.#servers
  }

  get postgres(): Servers['postgres'] {
    return this.#started.postgres
  }

  get nats(): Servers['nats'] {
    return this.#started.nats
  }

  get mqtt(): Servers['mqtt'] {
    return this.#started.mqtt
  }

  get client(): NatsClient {
    return this.#started.client
  }

  get database(): TestSchema {
    if (this.#database === undefined) throw new Error('begin() was not called')
    return this.#database
  }

  get brokerUrl(): string {
    return `mqtt://${this.mqtt.host}:${this.mqtt.port}`
  }

  /** Creates tables with two organizations, and empty streams. */
  async begin(): Promise<void> {
    this.#database = await TestSchema.create(this.postgres)
    await this.database.sql(`INSERT INTO organizations (id, name) VALUES ('o1', 'One'), ('o2', 'Two')`)
    for await (const { config } of this.client.manager.streams.list())
      await this.client.manager.streams.delete(config.name)
    await ensureStreams(this.client, PLATFORM_STREAMS)
  }

  /** Stops the programs of the test. */
  async end(): Promise<void> {
    for (const service of this.#running.splice(0)) await service.kill()
    await this.database[Symbol.asyncDispose]()
  }

  async launch(more: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    const { host, port, username, password, database } = this.database.options
    const service = new RunningService(await freePort(), {
      PONIX_POSTGRES_HOST: host,
      PONIX_POSTGRES_PORT: String(port),
      PONIX_POSTGRES_DATABASE: database,
      PONIX_POSTGRES_USERNAME: username,
      PONIX_POSTGRES_PASSWORD: password,
      PONIX_NATS_URL: this.nats.url,
      PONIX_NATS_STREAM_MAX_AGE_SECS: '0',
      PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS: '0.05',
      // Gateways of different tests rarely share a shard, and with it a session of the broker.
      ...(more['PONIX_GATEWAY_ORCHESTRATOR_LEASES'] === 'on' ? {} : { PONIX_GATEWAY_ORCHESTRATOR_SHARDS: '4096' }),
      ...more,
    })
    this.#running.push(service)
    return service
  }

  /** Launches the program and waits until it is ready. */
  async serve(more: Readonly<Record<string, string>> = {}): Promise<RunningService> {
    const service = await this.launch(more)
    await service.matchingLines('ready', ({ msg }) => msg === 'ready')
    return service
  }

  /** Returns a gateway that is subscribed to the broker, with an id unique to the test. */
  mqttGateway(version: number, config: JsonObject = {}, change: Partial<Gateway> = {}): Gateway {
    const gatewayConfig = { broker_url: this.brokerUrl, ...config }
    return gateway(`g${randomUUID()}`, version, { gatewayType: 'mqtt', gatewayConfig, ...change })
  }

  /** Returns a client of the broker, which is closed at the end of the test. */
  async publisher(): Promise<MqttPublisher> {
    const client = await connectMqttPublisher({ brokerUrl: this.brokerUrl, clientId: randomUUID() })
    onTestFinished(() => client.close())
    return client
  }

  /** Inserts a row. */
  async insert(gateway: Gateway): Promise<void> {
    const { gatewayId, organizationId, name, gatewayType, gatewayConfig, updatedAt, deletedAt } = gateway
    await this.database.sql(
      `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config, updated_at, deleted_at)
       VALUES ($1, $2, $3, $4, $5, timestamptz 'epoch' + $6 * interval '1 microsecond',
               timestamptz 'epoch' + $7 * interval '1 microsecond')`,
      [gatewayId, organizationId, name, gatewayType, gatewayConfig, updatedAt, deletedAt],
    )
  }

  /** Commits a transaction without a change of a row. */
  async commit(): Promise<Commit> {
    return await this.database.transaction(commitOf)
  }

  /** Publishes an event as cdc does, by default of a new commit. */
  async publishEvent(event: 'create' | 'update' | 'delete', gateway: Gateway, commit?: Commit): Promise<void> {
    await this.publishRaw(`gateway.${event}`, toBinary(GatewaySchema, gatewayToProto(gateway)), commit)
  }

  async publishRaw(subject: string, body: Uint8Array, commit?: Commit): Promise<void> {
    const { lsn, transactionId } = commit ?? (await this.commit())
    const position = headers()
    position.set('Ponix-Lsn', lsn)
    position.set('Ponix-Index', '0')
    position.set('Ponix-Transaction-Id', transactionId)
    await this.client.jetstream.publish(subject, body, { headers: position })
  }

  /** Resolves when every published event is applied or is a dead letter. */
  async untilApplied(durable = DURABLE): Promise<void> {
    await vi.waitUntil(async () => {
      const durables = await this.client.manager.consumers.list('gateways').next()
      // The service is ready shortly before it consumes.
      const consumer = durables.find(({ name }) => name === durable)
      return consumer?.num_pending === 0 && consumer.num_ack_pending === 0
    }, WAIT)
  }

  async stored(stream: string): Promise<readonly Stored[]> {
    const { first_seq, last_seq } = (await this.client.manager.streams.info(stream)).state
    const found: Stored[] = []
    for (let seq = Math.max(1, first_seq); seq <= last_seq; seq++) {
      const message = await this.client.manager.streams.getMessage(stream, { seq })
      if (message === null) continue
      found.push({ subject: message.subject, body: message.data, header: (name) => message.header.get(name) })
    }
    return found
  }

  /** Resolves with all messages of the stream when it has at least `count`. */
  async untilStored(stream: string, count: number): Promise<readonly Stored[]> {
    await vi.waitUntil(async () => (await this.client.manager.streams.info(stream)).state.messages >= count, WAIT)
    return await this.stored(stream)
  }

  /** Limits the stream of dead letters to this many bytes; -1 is no limit. */
  async limitDeadLetters(bytes: number): Promise<void> {
    const { config } = await this.client.manager.streams.info('dead_letters')
    await this.client.manager.streams.update('dead_letters', { ...config, max_bytes: bytes })
  }

  async untilEnvelopes(count: number): Promise<readonly RawEnvelope[]> {
    return (await this.untilStored('raw_envelopes', count)).map(({ body }) => decodeRawEnvelope(body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.drain()
    await Promise.all([this.postgres, this.nats, this.mqtt].map((part) => part[Symbol.asyncDispose]()))
  }
}

/** Writes to the log in the client's transaction; returns a position directly before its commit. */
export async function commitOf(client: Client): Promise<Commit> {
  const text = `SELECT pg_logical_emit_message(true, 'test', '')::text AS lsn,
    (pg_current_xact_id()::text::numeric % 4294967296)::text AS "transactionId"`
  const { rows } = await client.query<Commit>(text)
  return rows[0] ?? { lsn: '', transactionId: '' }
}

/** Returns a print gateway of organization o1; `version` orders its states. */
export function gateway(gatewayId: string, version: number, change: Partial<Gateway> = {}): Gateway {
  return {
    gatewayId,
    organizationId: 'o1',
    name: gatewayId,
    gatewayType: 'print',
    gatewayConfig: { site: 'roof' },
    status: 'active',
    createdAt: 1n,
    updatedAt: BigInt(version),
    deletedAt: null,
    ...change,
  }
}
