import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createAnalytics } from '../../../services/analytics/analytics.ts'
import { openClients, analyticsEnvironment } from '../../../services/analytics/clients.ts'
import { openClickHouse, clickhouseOptions } from '../../../src/clickhouse/connection.ts'
import { createProducer } from '../../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { probeLog } from '../adapters/nats-client.ts'
import { evaluationWorkerUrl, projectRoot } from '../program.ts'
import { startClickHouse, startNats, startPostgres } from '../servers.ts'

/** The default payload conversion of test devices. */
export const LPP = 'cayenne_lpp_decode(input)'
export const ORGANIZATION = 'organization'

const migrate = join(projectRoot, 'dist/migrate.js')

export type Pipeline = Awaited<ReturnType<typeof startPipeline>>

/** Starts PostgreSQL, NATS and ClickHouse for one test file, migrated and with one organization, and the clients of analytics. */
export async function startPipeline() {
  const [postgres, nats, clickhouse] = await Promise.all([startPostgres(), startNats(), startClickHouse()])
  const variables = {
    PONIX_POSTGRES_HOST: postgres.host,
    PONIX_POSTGRES_PORT: String(postgres.port),
    PONIX_NATS_URL: nats.url,
    PONIX_CLICKHOUSE_URL: clickhouse.url,
    PONIX_CLICKHOUSE_BATCH_MS: '100',
  }
  await promisify(execFile)(process.execPath, [migrate, 'up'], { env: { ...process.env, ...variables } })
  const environment = parseEnvironment(analyticsEnvironment, variables)
  const { logger } = probeLog()
  const clients = await openClients(environment, logger)
  const reader = openClickHouse(clickhouseOptions(environment, { name: 'test', logger }))
  await clients.organizations.create({ id: ORGANIZATION, name: 'An organization', status: 'active' })
  return {
    ...clients,
    environment,
    logger,
    variables,
    servers: { postgres, nats, clickhouse },
    async query<T>(text: string, parameters: Readonly<Record<string, string>> = {}): Promise<T[]> {
      const result = await reader.client.query({ query: text, format: 'JSONEachRow', query_params: parameters })
      return await result.json<T>()
    },
    async createDevice(deviceId: string, payloadConversion = LPP, profileId = ''): Promise<void> {
      const ids = { deviceId, organizationId: ORGANIZATION, externalId: '', profileId }
      await clients.endDevices.create({ ...ids, name: deviceId, payloadConversion })
    },
    /** Creates a device and its profile with a codec in JavaScript; both have the same id. */
    async createProfiledDevice(id: string, codecSource: string): Promise<void> {
      const common = { organizationId: ORGANIZATION, profileId: id, name: id }
      await clients.profiles.create({ ...common, codecKind: 'javascript', codecSource, samples: [], fields: [] })
      await clients.endDevices.create({ ...common, deviceId: id, externalId: '', payloadConversion: '' })
    },
    async stop(): Promise<void> {
      await reader.close()
      for (const close of Object.values(clients.closers)) await close()
      await Promise.all([postgres, nats, clickhouse].map((part) => part[Symbol.asyncDispose]()))
    },
  }
}

/** Cayenne LPP: a temperature of 25.5, a humidity of 65 and a pressure of 1013.3. */
export const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))

export type WholePath = Awaited<ReturnType<typeof startWholePath>>

type ProcessName = 'raw' | 'deferred' | 'processed'

/** Starts a pipeline with these processes of analytics in the test's process. */
export async function startWholePath(names: readonly ProcessName[] = ['raw', 'deferred', 'processed']) {
  const pipeline = await startPipeline()
  const analytics = await createAnalytics({ ...pipeline, workerUrl: evaluationWorkerUrl })
  let stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  const startProcesses = (started: readonly ProcessName[]): void => {
    stopping = new AbortController()
    running = Promise.all(started.map((name) => analytics.processes[name](stopping.signal)))
  }
  const stopProcesses = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  startProcesses(names)
  return {
    ...pipeline,
    startProcesses,
    stopProcesses,
    query: (text: string, device: string): Promise<unknown[]> => pipeline.query(text, { device }),
    /** Publishes envelopes with distinct times; `from` distinguishes the envelopes of two calls. */
    async publish(endDeviceId: string, count: number, from = 0): Promise<void> {
      const producer = createProducer(pipeline.nats)
      const start = BigInt(Date.now()) * 1000n
      const numbers = Array.from({ length: count }, (_, index) => from + index)
      await Promise.all(
        numbers.map((number) =>
          producer.publish({
            subject: `raw_envelopes.${endDeviceId}`,
            body: encodeRawEnvelope({
              organizationId: ORGANIZATION,
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
    /** Returns the number of rows of a device and of distinct envelopes; undefined while ClickHouse is unavailable. */
    async rowsOf(device: string): Promise<unknown> {
      const text = `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(occurred_at)) AS envelopes
        FROM processed_envelopes WHERE end_device_id = {device: String}`
      const [row] = await pipeline.query(text, { device }).catch(() => [])
      return row
    },
    async deadLetters(): Promise<number> {
      return (await pipeline.nats.manager.streams.info('dead_letters')).state.messages
    },
    async stop(): Promise<void> {
      await stopProcesses()
      await analytics.close()
      await pipeline.stop()
    },
  }
}
