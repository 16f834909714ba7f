import { connectNats, natsOptions } from '../../src/nats/connection.ts'
import { createProducer } from '../../src/nats/producer.ts'
import { streamsOf, ensureStreams } from '../../src/nats/streams.ts'
import { connectPostgres, postgresOptions } from '../../src/postgres/database.ts'
import { PostgresGatewayRepository } from '../../src/postgres/gateway-repository.ts'
import { parseEnvironment } from '../../src/runner/environment.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runService } from '../../src/runner/runner.ts'
import { runMain } from '../../src/runner/startup.ts'
import { environment } from './environment.ts'
import { GatewayService } from './gateway-service.ts'
import { mqttRunner, printRunner } from './runners.ts'

await runMain('gateway-orchestrator', async () => {
  const env = parseEnvironment('gateway-orchestrator', environment)
  const logger = createLogger('gateway-orchestrator')
  const client = { name: 'ponix-gateway-orchestrator', logger }
  const [database, nats] = await Promise.all([
    connectPostgres(postgresOptions(env, client)),
    connectNats(natsOptions(env, client)),
  ])
  await ensureStreams(nats, streamsOf(env))
  const mqtt = mqttRunner({ producer: createProducer(nats), rawStream: env.PONIX_NATS_RAW_STREAM })
  const print = printRunner(logger, env.PONIX_GATEWAY_ORCHESTRATOR_PRINT_INTERVAL_SECS)
  const service = new GatewayService({
    gateways: new PostgresGatewayRepository(database),
    nats,
    logger,
    runners: { print, mqtt, emqx: mqtt },
    retry: {
      delayMs: env.PONIX_GATEWAY_ORCHESTRATOR_RETRY_DELAY_SECS,
      maxAttempts: env.PONIX_GATEWAY_ORCHESTRATOR_MAX_RETRY_ATTEMPTS,
    },
    gatewayStream: env.PONIX_NATS_GATEWAY_STREAM,
    durable: env.PONIX_GATEWAY_CDC_CONSUMER_NAME,
  })
  await runService({
    service: 'gateway-orchestrator',
    logger,
    processes: { gateways: (signal) => service.run(signal) },
    closers: { postgres: () => database.close(), nats: () => nats.drain() },
    readiness: { postgres: (s) => database.ping(s), nats: (s) => nats.ping(s), gateways: () => service.loaded() },
    routes: { '/gateways': () => service.describe() },
  })
})
