import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openClients, analyticsEnvironment } from '../../services/analytics/clients.ts'
import { openClickHouse, clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { probeLog } from './nats-client.ts'
import { startClickHouse, startNats, startPostgres } from './servers.ts'

/** A Cayenne LPP decoder: what most devices of tests have for an expression. */
export const LPP = 'cayenne_lpp_decode(input)'
export const ORGANIZATION = 'organization'

const migrate = fileURLToPath(new URL('../../dist/migrate.js', import.meta.url))

export type Pipeline = Awaited<ReturnType<typeof startPipeline>>

/** PostgreSQL, NATS and ClickHouse of a test file's own, migrated and with one organization; analytics' clients of them. */
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
    async createDevice(deviceId: string, payloadConversion = LPP): Promise<void> {
      await clients.endDevices.create({ deviceId, organizationId: ORGANIZATION, name: deviceId, payloadConversion })
    },
    async stop(): Promise<void> {
      await reader.close()
      for (const close of Object.values(clients.closers)) await close()
      for (const part of [postgres, nats, clickhouse]) await part[Symbol.asyncDispose]()
    },
  }
}
