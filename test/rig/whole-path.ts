import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { bundleEvaluationWorker } from './evaluation-worker.ts'
import { probeLog } from './nats-client.ts'
import { startClickHouse, startNats, startPostgres } from './servers.ts'
import { openClickHouse } from '../../src/clickhouse/connection.ts'
import { clickhouseOptions } from '../../src/clickhouse/options.ts'
import { createProducer } from '../../src/nats/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { readEnvironment } from '../../src/runner/environment.ts'
import { createAnalytics } from '../../services/analytics/analytics.ts'
import { openClients } from '../../services/analytics/clients.ts'
import { analyticsEnvironment } from '../../services/analytics/environment.ts'

/** A temperature of 25.5, a humidity of 65 and a pressure of 1013.3, as Cayenne LPP says them. */
export const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
export const LPP = 'cayenne_lpp_decode(input)'

const migrate = fileURLToPath(new URL('../../dist/migrate.js', import.meta.url))

export type WholePath = Awaited<ReturnType<typeof startWholePath>>

/** PostgreSQL, NATS and ClickHouse of a test file's own, migrated and with one organization, and analytics between them. */
export async function startWholePath() {
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
  await clients.organizations.create({ id: 'organization', name: 'An organization', status: 'active' })

  async function query(text: string, device: string): Promise<unknown[]> {
    const result = await reader.client.query({ query: text, format: 'JSONEachRow', query_params: { device } })
    return await result.json()
  }
  return {
    ...clients,
    variables,
    servers: { postgres, nats, clickhouse },
    query,
    async createDevice(deviceId: string, payloadConversion = LPP): Promise<void> {
      await clients.endDevices.create({ deviceId, organizationId: 'organization', name: deviceId, payloadConversion })
    },
    /** Publishes so many envelopes, each of another moment; those of two calls are different if `from` says so. */
    async publish(endDeviceId: string, count: number, from = 0): Promise<void> {
      const producer = createProducer(clients.nats)
      const start = BigInt(Date.now()) * 1000n
      const numbers = Array.from({ length: count }, (_, index) => from + index)
      await Promise.all(
        numbers.map((number) =>
          producer.publish({
            subject: `raw_envelopes.${endDeviceId}`,
            body: encodeRawEnvelope({
              organizationId: 'organization',
              endDeviceId,
              payload: PAYLOAD,
              receivedAt: start + BigInt(number),
            }),
            messageId: `${endDeviceId}-${number}`,
          }),
        ),
      )
      producer.close()
    },
    /** All rows of a device, and how many different envelopes they are; nothing while ClickHouse is away. */
    async rowsOf(device: string): Promise<unknown> {
      const text = `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(occurred_at)) AS envelopes
        FROM processed_envelopes WHERE end_device_id = {device: String}`
      const [row] = await query(text, device).catch(() => [])
      return row
    },
    async deadLetters(): Promise<number> {
      return (await clients.nats.manager.streams.info('dead_letters')).state.messages
    },
    async stop(): Promise<void> {
      stopping.abort()
      await running
      await analytics.close()
      await reader.close()
      for (const close of Object.values(clients.closers)) await close()
      for (const part of [worker, postgres, nats, clickhouse]) await part[Symbol.asyncDispose]()
    },
  }
}
