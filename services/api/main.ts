import { createPayloadConversionChecker } from '../../src/codecs/cel/static-check.ts'
import { PoolCodecRunner } from '../../src/codecs/pool/codec-runner.ts'
import { openClickHouse, clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { connectPostgres, postgresOptions } from '../../src/postgres/database.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runProgram } from '../../src/runner/program.ts'
import { runService } from '../../src/runner/runner.ts'
import { createApi } from './api.ts'
import { apiEnvironment, assertLoopback } from './environment.ts'

await runProgram({
  name: 'ponix-api',
  description: 'Serves organizations, end devices, gateways and telemetry over gRPC, and telemetry as CSV.',
  environment: apiEnvironment,
  async run(environment) {
    // Before waiting for any server.
    await assertLoopback(environment.PONIX_GRPC_HOST)
    const logger = createLogger('api')
    const client = { name: 'ponix-api', logger }
    const clickhouse = openClickHouse(clickhouseOptions(environment, client))
    const database = await connectPostgres({
      ...postgresOptions(environment, client),
      limits: { maxConnections: environment.PONIX_API_POSTGRES_CONNECTIONS },
    })
    const codecs = new PoolCodecRunner({
      workerUrl: new URL('./api-worker.js', import.meta.url),
      onWorkerLost: (death) => logger.warn({ death }, `lost an evaluation worker (${death}); starting another worker`),
    })
    const payloadConversions = createPayloadConversionChecker()
    const api = createApi({ database, clickhouse, codecs, logger, payloadConversions })
    const server = api.serve(environment.PONIX_GRPC_HOST, environment.PONIX_GRPC_PORT)
    logger.info(`serving gRPC on ${await server.listen()}`)
    await runService({
      service: 'api',
      logger,
      processes: { grpc: (signal) => server.run(signal), ...api.processes },
      closers: { codecs: () => codecs.close(), postgres: () => database.close(), clickhouse: () => clickhouse.close() },
      // Drains calls for ten seconds; cancelling the rest takes a moment more.
      closerTimeoutMs: 12_000,
      readiness: { postgres: (signal) => database.ping(signal) },
      requests: api.csvExports.handle,
    })
  },
})
