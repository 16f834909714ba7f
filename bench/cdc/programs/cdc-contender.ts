import { headers } from '@nats-io/nats-core'
import { CAPTURED_TABLES, organizationEntity } from '../../../services/cdc/entities.ts'
import { cdcEnvironment, cdcStreams } from '../../../services/cdc/environment.ts'
import { EventFactory } from '../../../services/cdc/event.ts'
import { connectNats } from '../../../src/nats/connection.ts'
import { ensureStreams } from '../../../src/nats/streams.ts'
import { postgresServer } from '../../../src/postgres/database.ts'
import { ChangeCapture } from '../../../src/postgres/replication/change-capture.ts'
import type { Change } from '../../../src/postgres/replication/change.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { createLogger } from '../../../src/runner/logger.ts'

// Captures the same changes and builds the same events as the service, but publishes them with the client's own publish(). The
// argument is the number of messages in flight. With 1, messages are published one at a time; with 0, nothing is published, and
// the program logs "done" when every row is read.

const environment = parseEnvironment(cdcEnvironment, process.env)
const logger = createLogger('contender')
const rows = Number(process.env['BENCH_ROWS'])
const inFlight = Number(process.argv[2])

function drain(): (change: Change) => undefined {
  let read = 0
  return () => {
    read += 1
    if (read === rows) logger.info('done')
  }
}

async function publishing(): Promise<(change: Change) => Promise<void>> {
  const { PONIX_NATS_URL: url, PONIX_CDC_SLOT_NAME: slot } = environment
  const nats = await connectNats({ url, name: 'contender', startupTimeoutMs: 10_000, logger })
  await ensureStreams(nats, cdcStreams(environment))
  const events = new EventFactory(slot)
  const slots = Array.from({ length: inFlight }, () => Promise.resolve())
  let next = 0
  return (change) => {
    const { subject, body, messageId, headers: values = {} } = events.eventOf(organizationEntity, change)
    const index = next++ % inFlight
    const stored = (slots[index] ?? Promise.resolve()).then(async () => {
      const encoded = headers()
      for (const [name, value] of Object.entries(values)) encoded.set(name, value)
      await nats.jetstream.publish(subject, body, { msgID: messageId, headers: encoded })
    })
    slots[index] = stored
    return stored
  }
}

const capture = new ChangeCapture({
  server: postgresServer(environment),
  slot: environment.PONIX_CDC_SLOT_NAME,
  publication: environment.PONIX_CDC_PUBLICATION_NAME,
  tables: CAPTURED_TABLES,
  onChange: inFlight === 0 ? drain() : await publishing(),
  confirm: { changes: environment.PONIX_CDC_BATCH_SIZE, ms: environment.PONIX_CDC_BATCH_TIMEOUT_MS },
  retry: { maxDelayMs: 1000, maxAttempts: 0 },
  logger,
})
const stopping = new AbortController()
process.once('SIGTERM', () => {
  stopping.abort()
  setTimeout(() => process.exit(0), 500)
})
await capture.run(stopping.signal)
process.exit(0)
