import { setTimeout as sleep } from 'node:timers/promises'
import { analyticsEnvironment } from '../../../services/analytics/clients.ts'
import { connectNats, natsOptions } from '../../../src/nats/connection.ts'
import { createProducer } from '../../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { createLogger } from '../../../src/runner/logger.ts'
import type { Flood } from '../ten-organizations.ts'

// Publishes raw envelopes of one organization at a fixed rate until SIGTERM, or as fast as JetStream stores them if that is slower.

const { name, organizationId, devicePrefix, devices, payloads, perSecond }: Flood = JSON.parse(process.argv[2] ?? '')
const MAX_UNACKNOWLEDGED = 2000
const PAUSE_MS = 2

const logger = createLogger('flood')
const environment = parseEnvironment(analyticsEnvironment, process.env)
const nats = await connectNats(natsOptions(environment, { name: 'flood', logger }))
const producer = createProducer(nats, { maxInFlight: MAX_UNACKNOWLEDGED })
const bodies = payloads.map((payload) => Buffer.from(payload, 'hex'))
let sent = 0
let acknowledged = 0

async function publish(number: number): Promise<void> {
  const endDeviceId = `${devicePrefix}${number % devices}`
  const payload = bodies[number % bodies.length] ?? Buffer.alloc(0)
  const body = encodeRawEnvelope({ organizationId, endDeviceId, payload, receivedAt: BigInt(Date.now()) * 1000n })
  await producer.publish({ subject: `raw_envelopes.${endDeviceId}`, body, messageId: `flood-${name}-${number}` })
  acknowledged += 1
}

process.once('SIGTERM', () => process.exit(0))
const start = performance.now()
logger.info('started')
for (;;) {
  const due = Math.min((perSecond * (performance.now() - start)) / 1000, acknowledged + MAX_UNACKNOWLEDGED)
  while (sent < due) void publish(sent++)
  await sleep(PAUSE_MS)
}
