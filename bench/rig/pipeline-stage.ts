import type { Codec } from '../../src/domain/codecs/codec.ts'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { type ClickHouse, openClickHouse } from '../../src/clickhouse/connection.ts'
import { connectNats, type NatsClient } from '../../src/nats/connection.ts'
import { type Producer, createProducer } from '../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { BenchServer } from './server.ts'
import { BenchProgram } from './program.ts'

/** The organization whose throughput and latency are measured. */
export const ORGANIZATION = 'ours'
/** The organizations that share the service with the large organization. */
export const SMALL_ORGANIZATIONS: readonly string[] = Array.from({ length: 9 }, (_, n) => `small-${n}`)
export const LARGE_ORGANIZATION = 'large'
const STREAMS = [
  'raw_envelopes',
  'processed_envelopes',
  'deferred_envelopes',
  'surplus_envelopes',
  'gateways',
  'dead_letters',
] as const

const POLL_INTERVAL_MS = 50

type Servers = Readonly<Record<'postgres' | 'nats' | 'clickhouse' | 'mqtt', BenchServer>>

/** The servers of the pipeline, migrated, and the programs between them. */
export class PipelineStage {
  readonly root: string
  readonly nats: NatsClient
  readonly clickhouse: ClickHouse
  readonly producer: Producer
  readonly #servers: Servers
  readonly #database: Client

  private constructor(root: string, servers: Servers, database: Client, nats: NatsClient, clickhouse: ClickHouse) {
    this.root = root
    this.#servers = servers
    this.#database = database
    this.nats = nats
    this.clickhouse = clickhouse
    this.producer = createProducer(nats, { maxInFlight: 1000 })
  }

  static async open(root: string, scratch: string): Promise<PipelineStage> {
    const start = (name: Parameters<typeof BenchServer.start>[1]) => BenchServer.start(root, name, scratch)
    const [postgres, nats, clickhouse, mqtt] = await Promise.all([
      start('postgres'),
      start('nats'),
      start('clickhouse'),
      start('mqtt'),
    ])
    const servers = { postgres, nats, clickhouse, mqtt }
    execFileSync(process.execPath, [join(root, 'dist/migrate.js'), 'up'], {
      env: environmentOf(servers),
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const login = { user: 'ponix', password: 'ponix', database: 'ponix' }
    const database = new Client({ host: '127.0.0.1', port: postgres.port, ...login })
    await database.connect()
    process.env['PONIX_LOG_LEVEL'] = 'silent'
    const common = { startupTimeoutMs: 10_000, logger: createLogger('bench') }
    const client = await connectNats({ url: `nats://127.0.0.1:${nats.port}`, name: 'bench', ...common })
    const url = `http://127.0.0.1:${clickhouse.port}`
    const account = { username: 'ponix', password: 'ponix', database: 'ponix', name: 'bench' }
    const stage = new PipelineStage(root, servers, database, client, openClickHouse({ url, ...account, ...common }))
    const organizations = [ORGANIZATION, ...SMALL_ORGANIZATIONS, LARGE_ORGANIZATION]
    await database.query('INSERT INTO organizations (id, name) SELECT id, id FROM unnest($1::text[]) id', [
      organizations,
    ])
    // The service creates the streams.
    const service = stage.start('analytics')
    await service.logLine('"ready"')
    await service.stop()
    return stage
  }

  get mqttUrl(): string {
    return `mqtt://127.0.0.1:${this.#servers.mqtt.port}`
  }

  get servers(): Servers {
    return this.#servers
  }

  /** Returns the environment of a program that uses these servers. */
  environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    return { ...environmentOf(this.#servers), ...more }
  }

  /** Starts a service from dist with flags of Node and further variables. */
  start(
    service: 'analytics' | 'api' | 'cdc' | 'gateway-orchestrator',
    flags: readonly string[] = [],
    more: Readonly<Record<string, string>> = {},
  ): BenchProgram {
    return new BenchProgram([...flags, join(this.root, `dist/${service}.js`)], this.environment(more))
  }

  /**
   * Runs a part of a program of the bench, to compare with. Returns the time between its log lines `started` and `done`, and the processor
   * time meanwhile, in ms.
   */
  async runContender(program: string, part: string, variables: Readonly<Record<string, string>>) {
    const path = join(this.root, `.ponix/bench/programs/${program}.js`)
    const contender = new BenchProgram([path, part], this.environment(variables))
    const done = contender.logLine('"done"')
    const start = await contender.logLine('"started"')
    const before = contender.processorMs
    const ms = (await done) - start
    const processorMs = contender.processorMs - before
    await contender.stop()
    return { ms, processorMs }
  }

  async createDevices(
    prefix: string,
    count: number,
    organizationId: string,
    expression: string,
    profileId: string | null = null,
  ): Promise<void> {
    await this.#database.query(
      `INSERT INTO end_devices (device_id, organization_id, name, payload_conversion, profile_id)
       SELECT $1 || n, $2, $1 || n, $3, $5 FROM generate_series(0, $4 - 1) n`,
      [prefix, organizationId, expression, count, profileId],
    )
  }

  /** Creates devices whose codec is that of a device profile. */
  async createProfiledDevices(prefix: string, count: number, organizationId: string, codec: Codec): Promise<void> {
    await this.#database.query(
      'INSERT INTO device_profiles (profile_id, organization_id, name, codec_kind, codec_source) VALUES ($1, $2, $1, $3, $4)',
      [prefix, organizationId, codec.kind, codec.source],
    )
    await this.createDevices(prefix, count, organizationId, '', prefix)
  }

  /** Creates a gateway that subscribes to a broker, by default the bench's. */
  async createGateway(brokerUrl = this.mqttUrl): Promise<void> {
    await this.#database.query(
      `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config) VALUES ('g', $1, 'g', 'mqtt', $2)`,
      [ORGANIZATION, JSON.stringify({ broker_url: brokerUrl })],
    )
  }

  /** Creates gateways that only print, distributed over the organizations. */
  async createPrintGateways(count: number): Promise<void> {
    await this.#database.query(
      `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config)
       SELECT 'gateway-' || n, ($1::text[])[1 + n % array_length($1, 1)], 'Gateway ' || n, 'print', jsonb_build_object('site', 'roof ' || n)
       FROM generate_series(1, $2) n`,
      [SMALL_ORGANIZATIONS, count],
    )
    await this.#database.query('VACUUM ANALYZE gateways')
  }

  async removeGateways(): Promise<void> {
    await this.#database.query('TRUNCATE gateways')
  }

  /** Resolves when the states of so many gateways are stored. */
  async whenReported(count: number): Promise<void> {
    const text = 'SELECT count(*)::integer AS stored FROM gateway_connections JOIN gateway_instances USING (instance)'
    const stored = async (): Promise<number> => {
      const { rows } = await this.#database.query<{ stored: number }>(text)
      return rows[0]?.stored ?? 0
    }
    while ((await stored()) < count) await sleep(POLL_INTERVAL_MS)
  }

  /** Returns the time in ms to read all gateways by one statement. */
  async selectGateways(): Promise<number> {
    const start = performance.now()
    await this.#database.query('SELECT * FROM gateways WHERE deleted_at IS NULL ORDER BY gateway_id')
    return performance.now() - start
  }

  /** Resolves to the envelope's sequence in the stream when JetStream has stored it. */
  async publishRaw(
    organizationId: string,
    endDeviceId: string,
    payload: Uint8Array,
    messageId: string,
  ): Promise<number> {
    const body = encodeRawEnvelope({ organizationId, endDeviceId, payload, receivedAt: BigInt(Date.now()) * 1000n })
    return (await this.producer.publish({ subject: `raw_envelopes.${endDeviceId}`, body, messageId })).sequence
  }

  async messagesIn(stream: string): Promise<number> {
    return (await this.nats.manager.streams.info(stream)).state.messages
  }

  async query<T>(query: string): Promise<T[]> {
    const result = await this.clickhouse.client.query({ query, format: 'JSONEachRow' })
    return await result.json<T>()
  }

  /** Resets everything except the raw envelopes, so that they are processed again. */
  async rewind(): Promise<void> {
    const { consumers, streams } = this.nats.manager
    for await (const { name } of consumers.list('raw_envelopes')) await consumers.delete('raw_envelopes', name)
    await streams.delete('consumer_progress').catch(() => undefined)
    // The service recreates the stream. Purging is not enough: a purged stream still deduplicates the message ids.
    await streams.delete('processed_envelopes').catch(() => undefined)
    await this.clickhouse.client.command({ query: 'TRUNCATE TABLE processed_envelope_rows' })
  }

  /** Removes all data, also about the activity of organizations. */
  async empty(): Promise<void> {
    await this.rewind()
    await this.#database.query('TRUNCATE end_device_last_seen')
    for (const stream of STREAMS) {
      if (stream !== 'processed_envelopes') await this.nats.manager.streams.purge(stream)
    }
  }

  async close(): Promise<void> {
    this.producer.close()
    await this.nats.drain()
    await this.clickhouse.close()
    await this.#database.end()
    await Promise.all(Object.values(this.#servers).map((server: BenchServer) => server.stop()))
  }
}

function environmentOf({ postgres, nats, clickhouse }: Servers): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    PONIX_LOG_LEVEL: 'info',
    PONIX_POSTGRES_HOST: '127.0.0.1',
    PONIX_POSTGRES_PORT: String(postgres.port),
    PONIX_NATS_URL: `nats://127.0.0.1:${nats.port}`,
    PONIX_CLICKHOUSE_URL: `http://127.0.0.1:${clickhouse.port}`,
  }
}

/** Encodes `number` (below 2^32) as a Cayenne LPP generic sensor on channel 0. */
export function sensorPayload(number: number): Buffer {
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  payload.writeUInt32BE(number, 2)
  return payload
}

/** Acts on the numbers below `count`, `together` of them at the same time. */
export async function inBatches(count: number, together: number, act: (n: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += together) {
    await Promise.all(Array.from({ length: Math.min(together, count - from) }, (_, index) => act(from + index)))
  }
}
