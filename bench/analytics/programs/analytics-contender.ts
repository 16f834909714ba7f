import { Readable } from 'node:stream'
import { analyticsEnvironment } from '../../../services/analytics/clients.ts'
import { connectClickHouse, clickhouseOptions } from '../../../src/clickhouse/connection.ts'
import { toRowText } from '../../../src/clickhouse/envelope-text.ts'
import { connectNats, natsOptions } from '../../../src/nats/connection.ts'
import { runConsumer } from '../../../src/nats/consumer/consumer.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { createLogger } from '../../../src/runner/logger.ts'

// Runs one part of the pipeline alone. `consume`: consumes and acknowledges every raw envelope. `insert`: inserts as many rows from
// prepared text, in batches of the service's size.

const environment = parseEnvironment(analyticsEnvironment, process.env)
const logger = createLogger('contender')
const client = { name: 'contender', logger }
const envelopes = Number(process.env['BENCH_ENVELOPES'])

async function consume(): Promise<void> {
  const nats = await connectNats(natsOptions(environment, client))
  const stopping = new AbortController()
  let left = envelopes
  logger.info('started')
  await runConsumer(
    {
      client: nats,
      service: 'contender',
      stream: environment.PONIX_NATS_RAW_STREAM,
      durable: 'contender',
      filterSubject: 'raw_envelopes.>',
      batchSize: 1000,
      batchWaitMs: 20,
      async handle(batch) {
        left -= batch.length
        if (left <= 0) stopping.abort()
        return batch.map(() => ({ kind: 'ack' }))
      },
    },
    stopping.signal,
  )
  await nats.drain()
}

async function insert(): Promise<void> {
  const clickhouse = await connectClickHouse(clickhouseOptions(environment, client))
  const size = environment.PONIX_CLICKHOUSE_BATCH_ROWS
  const batches = Array.from({ length: envelopes / size }, (_, batch) => batchText(batch * size, size))
  logger.info('started')
  for (const body of batches) {
    const values = Readable.from([body], { objectMode: false })
    const query = 'INSERT INTO processed_envelope_rows FORMAT JSONEachRow'
    const { stream } = await clickhouse.client.exec({ query, values })
    await stream.resume().toArray()
  }
}

function batchText(from: number, size: number): Buffer {
  const numbers = Array.from({ length: size }, (_, index) => from + index)
  return Buffer.from(numbers.map(rowText).join(''))
}

function rowText(number: number): string {
  const occurredAt = BigInt(Date.now()) * 1000n
  const data = { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 }
  const ids = { organizationId: 'organization', endDeviceId: `throughput-${number % 100}` }
  return toRowText({
    envelope: { ...ids, occurredAt, processedAt: occurredAt, data },
    envelopeId: `raw_envelopes:${number}:${Date.now()}`,
  })
}

await (process.argv[2] === 'consume' ? consume() : insert())
logger.info('done')
setInterval(() => {}, 1000)
process.once('SIGTERM', () => process.exit(0))
