import { connectClickHouse, clickhouseOptions } from '../../src/clickhouse/connection.ts'
import { connectMqttPublisher } from '../../src/mqtt/client.ts'
import { GrpcClient } from '../../src/proto/grpc.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { runProgram } from '../../src/runner/program.ts'
import { runService } from '../../src/runner/runner.ts'
import { connectWithBackoff } from '../../src/runner/startup.ts'
import { publishMessages, reportRows, summary } from './demo.ts'
import { environment } from './environment.ts'
import { ensureInventory } from './inventory.ts'

await runProgram({
  name: 'ponix-demo',
  description: 'Creates devices over gRPC, publishes their messages over MQTT and shows their rows in ClickHouse.',
  environment,
  async run(env) {
    const logger = createLogger('demo')
    const wait = { timeoutMs: env.PONIX_STARTUP_TIMEOUT_MS, logger }
    const clickhouse = await connectClickHouse(clickhouseOptions(env, { name: 'ponix-demo', logger }))
    const { PONIX_DEMO_MQTT_URL: brokerUrl, PONIX_DEMO_INTERVAL_MS: intervalMs } = env
    const publisher = await connectWithBackoff({ server: 'the MQTT broker', address: brokerUrl, ...wait }, () =>
      connectMqttPublisher({ brokerUrl, clientId: 'ponix-demo' }),
    )
    const address = `${env.PONIX_GRPC_HOST}:${env.PONIX_GRPC_PORT}`
    const api = new GrpcClient(address)
    const inventory = await connectWithBackoff({ server: 'the API', address, ...wait }, () =>
      ensureInventory(api, brokerUrl),
    )
    const print = (line: string): void => void process.stdout.write(`${line}\n`)
    const parts = { inventory, publisher, clickhouse, logger, intervalMs, print, summary: summary(env, inventory) }
    await runService({
      service: 'demo',
      logger,
      processes: { devices: (stop) => publishMessages(parts, stop), arrivals: (stop) => reportRows(parts, stop) },
      closers: { clickhouse: () => clickhouse.close(), mqtt: () => publisher.close(), api: async () => api.close() },
    })
  },
})
