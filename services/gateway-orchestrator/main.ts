import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { observeStreams } from '../../src/nats/stream-usage.ts'
import { streamsOf, ensureStreams } from '../../src/nats/streams.ts'
import { connectPostgres, postgresOptions } from '../../src/postgres/database.ts'
import { PostgresEndDeviceRepository } from '../../src/postgres/end-device-repository.ts'
import { PostgresGatewayConnectionStore } from '../../src/postgres/gateway-connection-store.ts'
import { PostgresGatewayRepository } from '../../src/postgres/gateway-repository.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runProgram } from '../../src/runner/program.ts'
import { runService } from '../../src/runner/runner.ts'
import { environment, usesLeases, type GatewayOrchestratorEnvironment } from './environment.ts'
import { GatewayService } from './gateway-service.ts'

await runProgram({
  name: 'ponix-gateway-orchestrator',
  description:
    'Runs a gateway process for every gateway: subscribes to its MQTT broker and publishes raw envelopes to NATS.',
  environment,
  run: runGateways,
})

async function runGateways(env: GatewayOrchestratorEnvironment): Promise<never> {
  const logger = createLogger('gateway-orchestrator')
  const client = { name: 'ponix-gateway-orchestrator', logger }
  // Of its own, so that no message delays the renewal of a lease.
  const leaseClient = { ...client, name: `${client.name}-leases` }
  const [database, nats, leaseNats] = await Promise.all([
    connectPostgres(postgresOptions(env, client)),
    connectNats(natsOptions(env, client)),
    usesLeases(env) ? connectNats(natsOptions(env, leaseClient)) : null,
  ])
  await ensureStreams(nats, streamsOf(env))
  const gateways = new PostgresGatewayRepository(database)
  const endDevices = new PostgresEndDeviceRepository(database)
  const connections = new PostgresGatewayConnectionStore(database)
  const service = new GatewayService({ env, gateways, connections, endDevices, nats, leaseNats, logger })
  return await runService({
    service: 'gateway-orchestrator',
    logger,
    processes: {
      gateways: (signal) => service.run(signal),
      streams: (signal) => observeStreams(nats, signal),
    },
    closers: {
      postgres: () => database.close(),
      nats: () => nats.drain(),
      ...(leaseNats === null ? {} : { leases: () => leaseNats.drain() }),
    },
    readiness: { postgres: (s) => database.ping(s), nats: (s) => nats.ping(s), gateways: () => service.loaded() },
    routes: { '/gateways': () => service.describe() },
    sharesPort: usesLeases(env),
  })
}
