import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { createProducer, type Producer } from '../../src/nats/publisher/producer.ts'
import { encodeProcessedEnvelope, encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { TelemetryService } from '../../src/proto/gen/ponix/analytics/v1/telemetry_pb.ts'
import { OrganizationService } from '../../src/proto/gen/ponix/organization/v1/organization_pb.ts'
import { GrpcClient } from '../../src/proto/grpc.ts'
import { withClient } from '../rig/adapters/test-schema.ts'
import { memoryOf } from '../rig/memory.ts'
import { ServiceProcess } from '../rig/program.ts'
import { freePort, startMqtt } from '../rig/servers.ts'
import { ORGANIZATION, startPipeline, type Pipeline } from '../rig/services/pipeline.ts'

/** The limit of each service, in MiB. */
const LIMIT = 512
/** PONIX_MEMORY_FULL=1 runs the full amounts, which take up to half an hour. */
const FULL = process.env['PONIX_MEMORY_FULL'] === '1'
const PATIENCE = { timeout: FULL ? 1_800_000 : 150_000, interval: 100 }
const TIMEOUT = FULL ? 2_000_000 : 170_000
vi.setConfig({ testTimeout: TIMEOUT })

const amount = (usual: number, full: number): number => (FULL ? full : usual)

let pipeline: Pipeline
let producer: Producer
const running: ServiceProcess[] = []

beforeAll(async () => {
  pipeline = await startPipeline()
  producer = createProducer(pipeline.nats)
})

afterEach(async () => {
  for (const service of running.splice(0)) await service.kill()
  const { streams } = pipeline.nats.manager
  for await (const { config } of streams.list()) await streams.purge(config.name)
})

afterAll(async () => {
  producer.close()
  await pipeline.stop()
})

function start(name: string, more: Readonly<Record<string, string>> = {}): ServiceProcess {
  const service = new ServiceProcess(name, { ...pipeline.variables, ...more })
  running.push(service)
  return service
}

async function sql(text: string, values: readonly unknown[] = []): Promise<void> {
  await withClient(pipeline.servers.postgres, (client) => client.query(text, [...values]))
}

async function messagesIn(stream: string): Promise<number> {
  return (await pipeline.nats.manager.streams.info(stream)).state.messages
}

/** So many messages are on their way together: they may have 1 MB. */
const CONCURRENCY = 200

/** Calls `send` with each number below `count`. */
async function sendEach(count: number, send: (number: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const sendInTurn = async (): Promise<void> => {
    while (next < count) await send(next++)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, sendInTurn))
}

/** Returns the number of dead letters beyond the quota. */
async function droppedDeadLetters(port: number): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const dropped = metrics.matchAll(/^ponix_nats_dead_letters_total\{[^}]*outcome="dropped"[^}]*\} (\d+)/gm)
  return [...dropped].reduce((sum, [, value]) => sum + Number(value), 0)
}

const text = (bytes: number): Buffer => Buffer.alloc(bytes, 'x')
const zeros = (length: number): string => `[${Array.from({ length }, () => '0').join(',')}]`
/** Takes about 30 ms. */
const SLOW = `${zeros(80)}.all(a, ${zeros(80)}.all(b, ${zeros(120)} == ${zeros(120)}))`
/** A result of 990,000 bytes. */
const LARGE = `{"text": ${zeros(30)}.map(a, ${zeros(33)}.map(b, "${'x'.repeat(1000)}"))}`

describe('analytics stays below 512 MiB', () => {
  let published = 0

  /** Publishes raw envelopes; resolves when they are stored. */
  async function publish(count: number, envelope: (number: number) => { endDeviceId: string; payload: Uint8Array }) {
    await sendEach(count, async (number) => {
      const receivedAt = BigInt(Date.now()) * 1000n + BigInt(number)
      const body = encodeRawEnvelope({ organizationId: ORGANIZATION, receivedAt, ...envelope(number) })
      await producer.publish({ subject: 'raw_envelopes.any', body, messageId: `raw-${published++}` })
    })
  }

  /** Resolves to the peak memory of the service when it has acknowledged all messages of both streams. */
  async function peakOf(service: ServiceProcess): Promise<number> {
    const isDone = async (stream: string, durable: string): Promise<boolean> => {
      const info = await pipeline.nats.manager.consumers.info(stream, durable).catch(() => undefined)
      return info?.num_pending === 0 && info.num_ack_pending === 0
    }
    await expect.poll(() => isDone('raw_envelopes', 'analytics-raw'), PATIENCE).toBe(true)
    await expect.poll(() => isDone('processed_envelopes', 'analytics-processed'), PATIENCE).toBe(true)
    return memoryOf(service.pid).peak
  }

  it.each([
    {
      what: 'payloads of 0 bytes',
      endDeviceId: 'empty',
      expression: '{"n": size(input)}',
      count: amount(2000, 100_000),
      bytes: 0,
    },
    {
      what: 'payloads of 1 MB',
      endDeviceId: 'large',
      expression: '{"n": size(input)}',
      count: amount(200, 2000),
      bytes: 1_000_000,
    },
    { what: 'results of 1 MB', endDeviceId: 'large-results', expression: LARGE, count: amount(250, 2000), bytes: 10 },
    {
      what: 'results over the limit of 1 MiB, which become dead letters',
      endDeviceId: 'too-large',
      expression: '{"a": string(input), "b": string(input)}',
      count: amount(100, 2000),
      bytes: 700_000,
      deadLetters: true,
    },
  ])('with $what', async ({ endDeviceId, expression, count, bytes, deadLetters = false }) => {
    await pipeline.createDevice(endDeviceId, expression)
    const payload = text(bytes)
    await publish(count, () => ({ endDeviceId, payload }))
    expect(await peakOf(start('analytics'))).toBeLessThan(LIMIT)
    expect(await messagesIn(deadLetters ? 'dead_letters' : 'processed_envelopes')).toBe(count)
  })

  it('with an expression that is slow once in a hundred messages of 100 kB', async () => {
    const endDeviceId = 'sometimes-slow'
    const count = amount(1000, 10_000)
    await pipeline.createDevice(endDeviceId, `{"n": size(input) == 100000 || ${SLOW}}`)
    const [usual, slow] = [text(100_000), text(100_001)]
    await publish(count, (number) => ({ endDeviceId, payload: number % 100 === 99 ? slow : usual }))
    expect(await peakOf(start('analytics'))).toBeLessThan(LIMIT)
  })

  it('with many device ids that share 50 expressions', async () => {
    const count = amount(8000, 1_000_000)
    await sql(
      `INSERT INTO end_devices (device_id, organization_id, name, payload_conversion)
       SELECT 'many-' || n, $1, 'many', '{"n": size(input) + ' || n % 50 || '}' FROM generate_series(0, $2 - 1) n`,
      [ORGANIZATION, count],
    )
    const payload = text(10)
    await publish(count, (number) => ({ endDeviceId: `many-${number}`, payload }))
    expect(await peakOf(start('analytics'))).toBeLessThan(LIMIT)
    expect(await messagesIn('processed_envelopes')).toBe(count)
  })

  it('with messages of many unknown device ids, which wait', async () => {
    const count = amount(8000, 1_000_000)
    const payload = text(10)
    await publish(count, (number) => ({ endDeviceId: `unknown-${number}`, payload }))
    const port = await freePort()
    expect(await peakOf(start('analytics', { PONIX_ANALYTICS_HTTP_PORT: String(port) }))).toBeLessThan(LIMIT)
    // In this order, an envelope whose wait ends meanwhile is counted at most once.
    const accounted = async (): Promise<number> => {
      const [dropped, letters] = [await droppedDeadLetters(port), await messagesIn('dead_letters')]
      return dropped + letters + (await messagesIn('deferred_envelopes'))
    }
    await expect.poll(accounted, PATIENCE).toBe(count)
  })

  it('with rows of 100 kB', async () => {
    const count = amount(1000, 10_000)
    const data = { text: 'x'.repeat(100_000) }
    await sendEach(count, async (number) => {
      const at = BigInt(Date.now()) * 1000n + BigInt(number)
      const envelope = {
        organizationId: ORGANIZATION,
        endDeviceId: 'large-rows',
        occurredAt: at,
        processedAt: at,
        data,
      }
      const body = encodeProcessedEnvelope(envelope)
      await producer.publish({ subject: 'processed_envelopes.large-rows', body, messageId: `row-${number}` })
    })
    expect(await peakOf(start('analytics'))).toBeLessThan(LIMIT)
    const rows = await pipeline.query<{ rows: number }>(
      `SELECT toUInt32(count()) AS rows FROM processed_envelopes WHERE end_device_id = 'large-rows'`,
    )
    expect(rows).toEqual([{ rows: count }])
  })
})

describe('gateway-orchestrator stays below 512 MiB', () => {
  it('with MQTT messages of 0 bytes, of 1 MB, over the maximum of NATS, and from many device ids', async () => {
    const mqtt = await startMqtt()
    const brokerUrl = `mqtt://${mqtt.host}:${mqtt.port}`
    await sql(
      `INSERT INTO gateways (gateway_id, organization_id, name, gateway_type, gateway_config) VALUES ('g', $1, 'g', 'mqtt', $2)`,
      [ORGANIZATION, JSON.stringify({ broker_url: brokerUrl })],
    )
    const service = start('gateway-orchestrator')
    await service.line('gateway running')
    const publisher = await connectMqttPublisher({ brokerUrl, clientId: 'devices' })
    const send = async (count: number, topic: (number: number) => string, payload: Uint8Array): Promise<void> => {
      await sendEach(count, (number) => publisher.publish(`${ORGANIZATION}/${topic(number)}`, payload))
    }
    const [small, large, ids] = [amount(1000, 100_000), amount(100, 1000), amount(5000, 1_000_000)]
    await send(small, () => 'd', text(0))
    await send(large, () => 'd', text(1_000_000))
    await send(large, () => 'd', text(2_000_000))
    await send(ids, (number) => `d${number}`, text(10))
    await expect.poll(() => messagesIn('raw_envelopes'), PATIENCE).toBe(small + large + ids)
    await expect.poll(() => messagesIn('dead_letters'), PATIENCE).toBe(large)
    expect(memoryOf(service.pid).peak).toBeLessThan(LIMIT)
    await publisher.close()
    await mqtt[Symbol.asyncDispose]()
  })
})

describe('cdc stays below 512 MiB', () => {
  it('with a transaction of rows of 100 kB, rows of 1 MB, rows over the maximum of NATS, and many small rows', async () => {
    const service = start('cdc', { PONIX_CDC_ON_ERROR: 'dead_letter' })
    await service.line('streaming changes')
    const [large, tooLarge, small] = [amount(1000, 10_000), amount(20, 1000), amount(20_000, 1_000_000)]
    const almostTooLarge = amount(300, 2000)
    const insert = async (prefix: string, count: number, bytes: number): Promise<void> =>
      await sql(`INSERT INTO organizations (id, name) SELECT $1 || n, repeat('x', $2) FROM generate_series(1, $3) n`, [
        prefix,
        bytes,
        count,
      ])
    await insert('large-', large, 100_000)
    await insert('almost-too-large-', almostTooLarge, 1_000_000)
    await insert('too-large-', tooLarge, 2_000_000)
    await insert('small-', small, 20)
    const events = async (): Promise<number> => await messagesIn('entities')
    await expect.poll(events, PATIENCE).toBe(large + almostTooLarge + small)
    expect(memoryOf(service.pid).peak).toBeLessThan(LIMIT)
    expect(await messagesIn('dead_letters')).toBe(tooLarge)
  })
})

describe('api stays below 512 MiB', () => {
  it('with concurrent exports and queries of rows of 100 kB, and requests of 0 bytes and 1 MB', async () => {
    const [rows, requests] = [amount(300, 5000), amount(16, 64)]
    const [grpcPort, httpPort] = [await freePort(), await freePort()]
    const service = start('api', { PONIX_GRPC_PORT: String(grpcPort), PONIX_API_HTTP_PORT: String(httpPort) })
    await service.line('ready')
    await pipeline.query(
      `INSERT INTO processed_envelope_rows (organization_id, end_device_id, occurred_at, data, identity)
       SELECT {organization:String}, 'exported', toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number,
         concat('{"text": "', repeat('x', 100000), '"}'), toString(number) FROM numbers({rows:UInt64})`,
      { organization: ORGANIZATION, rows: String(rows) },
    )
    const client = new GrpcClient(`127.0.0.1:${grpcPort}`)
    const url = `http://127.0.0.1:${httpPort}/v1/organizations/${ORGANIZATION}/envelopes.csv?end_device_id=exported`
    const exports = await Promise.all([1, 2, 3, 4].map(() => fetch(url)))
    const query = { organizationId: ORGANIZATION, endDeviceId: 'exported', pageSize: 500 }
    const call = async () => await client.call(TelemetryService.method.queryEnvelopes, query, { timeoutMs: TIMEOUT })
    // On a loaded machine some of them reach the time limit of a query.
    const pages = await Promise.allSettled(Array.from({ length: requests }, call))
    expect(pages).toContainEqual(expect.objectContaining({ status: 'fulfilled' }))
    const names = Array.from({ length: requests }, (_, number) => (number % 2 === 0 ? '' : 'x'.repeat(1_000_000)))
    const refused = names.map((name) => client.call(OrganizationService.method.createOrganization, { name }))
    expect(await Promise.allSettled(refused)).not.toContainEqual(expect.objectContaining({ status: 'fulfilled' }))
    for (const { body } of exports) expect(await linesOf(body)).toBe(rows + 1)
    expect(memoryOf(service.pid).peak).toBeLessThan(LIMIT)
    client.close()
  })
})

/** Counts the lines of a response without keeping it. */
async function linesOf(body: ReadableStream<Uint8Array> | null): Promise<number> {
  let lines = 0
  for await (const chunk of body ?? []) lines += Buffer.from(chunk).toString('latin1').split('\n').length - 1
  return lines
}
