import { connect } from 'mqtt'
import { environment } from '../../../services/gateway-orchestrator/environment.ts'
import { connectNats, natsOptions } from '../../../src/nats/connection.ts'
import { createProducer } from '../../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { createLogger } from '../../../src/runner/logger.ts'

// Does one part of a gateway's work alone. `subscribe`: acknowledges the messages that a broker has queued for its session.
// `publish`: publishes as many raw envelopes to JetStream, 1,000 in flight.

const logger = createLogger('contender')
const messages = Number(process.env['BENCH_MESSAGES'])
const organizationId = process.env['BENCH_ORGANIZATION'] ?? ''

async function subscribe(): Promise<void> {
  logger.info('started')
  const client = connect(process.env['BENCH_BROKER'] ?? '', { clientId: 'contender', clean: false })
  let left = messages
  // The broker sends queued messages before the subscription.
  const received = new Promise<void>((resolve) => {
    if (left === 0) resolve()
    client.on('message', () => (left -= 1) === 0 && resolve())
  })
  await new Promise<void>((resolve) => client.once('connect', () => resolve()))
  await client.subscribeAsync(`${organizationId}/+`, { qos: 1 })
  await received
  // Resolves after the last acknowledgement is sent.
  await client.endAsync()
}

async function publish(): Promise<void> {
  const nats = await connectNats(natsOptions(parseEnvironment(environment, process.env), { name: 'contender', logger }))
  const producer = createProducer(nats, { maxInFlight: 1000 })
  const payload = Buffer.from([0, 100, 0, 0, 0, 0])
  logger.info('started')
  const stored = Array.from({ length: messages }, (_, number) => {
    const receivedAt = BigInt(Date.now()) * 1000n
    const body = encodeRawEnvelope({ organizationId, endDeviceId: 'contender', payload, receivedAt })
    return producer.publish({ subject: 'raw_envelopes.contender', body, messageId: `${process.pid}-${number}` })
  })
  await Promise.all(stored)
  producer.close()
  await nats.drain()
}

await (process.argv[2] === 'subscribe' ? subscribe() : publish())
logger.info('done')
setInterval(() => {}, 1000)
process.once('SIGTERM', () => process.exit(0))
