import { createPayloadConversionChecker } from '../../src/cel/checker.ts'
import { connectPostgres } from '../../src/postgres/database.ts'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runService } from '../../src/runner/runner.ts'
import { runMain } from '../../src/runner/startup.ts'
import { createApi } from './api.ts'
import { apiEnvironment } from './environment.ts'
import { assertLoopback } from './loopback.ts'

await runMain('api', async () => {
  const environment = parseEnvironment('api', apiEnvironment)
  // Refused before anything is waited for.
  await assertLoopback(environment.PONIX_GRPC_HOST)
  const logger = createLogger('api')
  const database = await connectPostgres({
    host: environment.PONIX_POSTGRES_HOST,
    port: environment.PONIX_POSTGRES_PORT,
    database: environment.PONIX_POSTGRES_DATABASE,
    username: environment.PONIX_POSTGRES_USERNAME,
    password: environment.PONIX_POSTGRES_PASSWORD,
    applicationName: 'ponix-api',
    startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_SECS,
    limits: { maxConnections: environment.PONIX_API_POSTGRES_CONNECTIONS },
    logger,
  })
  const api = createApi({ database, logger, payloadConversions: createPayloadConversionChecker() })
  const server = api.serve(environment.PONIX_GRPC_HOST, environment.PONIX_GRPC_PORT)
  logger.info(`gRPC on ${await server.listen()}`)
  await runService({
    service: 'api',
    logger,
    processes: { grpc: (signal) => server.run(signal), health: (signal) => api.health.run(signal) },
    closers: { postgres: () => database.close() },
    // The running calls have ten seconds; cutting off the rest needs a moment more.
    closerTimeoutMs: 12_000,
    readiness: { postgres: (signal) => database.ping(signal) },
  })
})
