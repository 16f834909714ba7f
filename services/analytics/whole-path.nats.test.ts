import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleEvaluationWorker } from '../../test/rig/evaluation-worker.ts'
import { probeLog } from '../../test/rig/nats-client.ts'
import { startClickHouse, startNats, startPostgres } from '../../test/rig/servers.ts'
import { openClickHouse } from '../../src/clickhouse/connection.ts'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import { clickhouseOptions } from '../../src/clickhouse/options.ts'
import { createProducer } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { readEnvironment } from '../../src/runner/environment.ts'
import { createAnalytics } from './analytics.ts'
import { openClients } from './clients.ts'
import { analyticsEnvironment } from './environment.ts'

const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
const migrate = fileURLToPath(new URL('../../dist/migrate.js', import.meta.url))

/** PostgreSQL, NATS and ClickHouse of this file's own, migrated, and analytics between them. */
async function startWholePath() {
  const [postgres, nats, clickhouse, worker] = await Promise.all([
    startPostgres(),
    startNats(),
    startClickHouse(),
    bundleEvaluationWorker(),
  ])
  const variables = {
    PONIX_POSTGRES_HOST: postgres.host,
    PONIX_POSTGRES_PORT: String(postgres.port),
    PONIX_NATS_URL: nats.url,
    PONIX_CLICKHOUSE_URL: clickhouse.url,
    PONIX_CLICKHOUSE_BATCH_MS: '100',
  }
  await promisify(execFile)(process.execPath, [migrate, 'up'], { env: { ...process.env, ...variables } })
  const reading = readEnvironment(analyticsEnvironment, variables)
  if (!reading.ok) throw new Error(reading.errors.join())
  const { logger } = probeLog()
  const clients = await openClients(reading.value, logger)
  const analytics = await createAnalytics({ ...clients, environment: reading.value, workerUrl: worker.url, logger })
  const stopping = new AbortController()
  const running = Promise.all([
    analytics.processes.raw(stopping.signal),
    analytics.processes.processed(stopping.signal),
  ])
  const reader = openClickHouse(clickhouseOptions(reading.value, { name: 'test', logger }))
  return {
    ...clients,
    reader,
    servers: { postgres, nats, clickhouse },
    async stop() {
      stopping.abort()
      await running
      await analytics.close()
      await reader.close()
      for (const close of Object.values(clients.closers)) await close()
      for (const part of [worker, postgres, nats, clickhouse]) await part[Symbol.asyncDispose]()
    },
  }
}

let path: Awaited<ReturnType<typeof startWholePath>>

beforeAll(async () => {
  path = await startWholePath()
  await path.organizations.create({ id: 'organization', name: 'An organization', status: 'active' })
}, 300_000)

afterAll(() => path.stop())

async function createDevice(deviceId: string): Promise<void> {
  const payloadConversion = 'cayenne_lpp_decode(input)'
  await path.endDevices.create({ deviceId, organizationId: 'organization', name: deviceId, payloadConversion })
}

async function publish(endDeviceId: string, count: number): Promise<void> {
  const producer = createProducer(path.nats)
  const start = BigInt(Date.now()) * 1000n
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      producer.publish({
        subject: `raw_envelopes.${endDeviceId}`,
        body: encodeRawEnvelope({
          organizationId: 'organization',
          endDeviceId,
          payload: PAYLOAD,
          receivedAt: start + BigInt(index),
        }),
        messageId: `${endDeviceId}-${index}`,
      }),
    ),
  )
  producer.close()
}

async function query(reader: ClickHouse, text: string, device: string): Promise<unknown[]> {
  const result = await reader.client.query({ query: text, format: 'JSONEachRow', query_params: { device } })
  return await result.json()
}

/** All rows of a device, and how many different envelopes they are; nothing while ClickHouse is away. */
async function rowsOf(device: string): Promise<unknown> {
  const text = `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(occurred_at)) AS envelopes
    FROM processed_envelopes WHERE end_device_id = {device: String}`
  const [row] = await query(path.reader, text, device).catch(() => [])
  return row
}

async function deadLetters(): Promise<number> {
  return (await path.nats.manager.streams.info('dead_letters')).state.messages
}

describe('P-1, P-8: from the bytes of a device to rows in ClickHouse', () => {
  it('makes exactly 100 rows of 100 raw envelopes', async () => {
    await createDevice('example')
    await publish('example', 100)
    await expect.poll(() => rowsOf('example'), { timeout: 20_000 }).toEqual({ rows: 100, envelopes: 100 })
    const values = `SELECT DISTINCT organization_id, data.temperature_0.:Float64 AS t, data.humidity_1.:Float64 AS h,
        data.barometer_2.:Float64 AS b, processed_at >= occurred_at AS later
      FROM processed_envelopes WHERE end_device_id = {device: String}`
    const expected = { organization_id: 'organization', t: 25.5, h: 65, b: 1013.3, later: 1 }
    expect(await query(path.reader, values, 'example')).toEqual([expected])
    expect(await deadLetters()).toBe(0)
  })
})

describe('P-9, P-10: exactly one row per envelope', () => {
  it.each(['clickhouse', 'postgres', 'nats'] as const)(
    'with %s killed in the middle',
    async (server) => {
      await createDevice(server)
      const publishing = publish(server, 10_000)
      await expect.poll(() => rowsOf(server), { timeout: 20_000 }).not.toMatchObject({ rows: 0 })
      expect(await rowsOf(server)).not.toMatchObject({ rows: 10_000 })
      await path.servers[server].kill()
      await path.servers[server].start()
      await publishing
      await expect.poll(() => rowsOf(server), { timeout: 55_000 }).toEqual({ rows: 10_000, envelopes: 10_000 })
      expect(await deadLetters()).toBe(0)
    },
    120_000,
  )
})
