import { connectNats, natsOptions, type NatsClient } from '../../src/nats/connection.ts'
import { publishRefused } from '../../src/nats/dead-letters.ts'
import { createOrderedPublisher, createProducer } from '../../src/nats/publisher/producer.ts'
import { checkSize } from '../../src/nats/publisher/publication.ts'
import { observeStreams } from '../../src/nats/stream-usage.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import { postgresServer } from '../../src/postgres/database.ts'
import { ChangeCapture } from '../../src/postgres/replication/change-capture.ts'
import { waitForPostgres } from '../../src/postgres/replication/replication-connection.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { ChangePublisher, type DeadLetterWriter } from './change-publisher.ts'
import { CAPTURED_TABLES, ENTITIES } from './entities.ts'
import { cdcStreams, streamOf, type CdcEnvironment } from './environment.ts'
import { ACTIONS, deadLetterBody } from './event.ts'
import { deadLetterMetric, monitorSlot, registerMetrics } from './metrics.ts'

/** Connects to both servers; throws a StartupError if one does not answer in time. */
export async function openCdc(environment: CdcEnvironment, logger: Logger) {
  const timeoutMs = environment.PONIX_STARTUP_TIMEOUT_MS
  await waitForPostgres(postgresServer(environment), { timeoutMs, logger })
  const nats = await connectNats(natsOptions(environment, { name: 'ponix-cdc', logger }))
  await ensureStreams(nats, cdcStreams(environment))
  const publisher = createChangePublisher(nats, environment, logger)
  const capture = createCapture(publisher, environment, logger)
  registerMetrics(capture, publisher)
  const warnBytes = environment.PONIX_CDC_RETAINED_WAL_WARN_MB * 1024 * 1024
  return {
    processes: {
      capture: (signal: AbortSignal) => {
        signal.addEventListener('abort', () => publisher.stop(), { once: true })
        return capture.run(signal)
      },
      streams: (signal: AbortSignal) => observeStreams(nats, signal),
      monitor: (signal: AbortSignal) => monitorSlot(capture, warnBytes, logger, signal),
    },
    closers: { nats: () => nats.drain(), publisher: () => publisher.close() },
    readiness: {
      nats: (signal: AbortSignal) => nats.ping(signal),
      replication: async () => checkReplication(capture, publisher),
    },
  }
}

/** Checks readiness: an instance is ready while it streams, sends a snapshot, or waits as standby. */
function checkReplication(capture: ChangeCapture, publisher: ChangePublisher): void {
  if (capture.state === 'connecting' || capture.state === 'stopped')
    throw new Error(capture.failure?.message ?? `not active: ${capture.state}`)
  if (publisher.stallReason !== undefined) throw new Error(`replication is stalled: ${publisher.stallReason}`)
}

function createChangePublisher(nats: NatsClient, environment: CdcEnvironment, logger: Logger): ChangePublisher {
  const usesDeadLetters = environment.PONIX_CDC_ON_ERROR === 'dead_letter'
  return new ChangePublisher({
    slot: environment.PONIX_CDC_SLOT_NAME,
    entities: ENTITIES,
    openPublisher: () => createOrderedPublisher(nats),
    deadLetter: usesDeadLetters ? deadLetterWriter(nats, environment, logger) : undefined,
    checkSize: (event) => checkSize(event, nats.connection.info?.max_payload),
    retryDelayMs: environment.PONIX_CDC_RETRY_DELAY_MS,
    logger,
  })
}

function deadLetterWriter(nats: NatsClient, environment: CdcEnvironment, logger: Logger): DeadLetterWriter {
  const producer = createProducer(nats)
  return async (entity, change, messageId, reason) => {
    const action = ACTIONS[change.operation]
    const id = String((change.new ?? change.old)?.get(entity.key))
    const fields = { [`${entity.name}_id`]: id, message_id: messageId }
    logger.error(fields, `storing ${action} as a dead letter: ${reason}`)
    const letter = {
      service: 'cdc',
      stream: streamOf(entity.name, environment),
      subject: `${entity.name}.${action} ${id}`,
      body: deadLetterBody(change),
      messageId: `dead_letter.${messageId}`,
      reason,
      cause: 'not_convertible',
    }
    await publishRefused(producer, letter, new AbortController().signal)
    deadLetterMetric.inc({ entity: entity.name, operation: action })
  }
}

function createCapture(publisher: ChangePublisher, environment: CdcEnvironment, logger: Logger): ChangeCapture {
  return new ChangeCapture({
    server: postgresServer(environment),
    slot: environment.PONIX_CDC_SLOT_NAME,
    publication: environment.PONIX_CDC_PUBLICATION_NAME,
    tables: CAPTURED_TABLES,
    onChange: publisher.publish,
    confirm: { changes: environment.PONIX_CDC_BATCH_SIZE, ms: environment.PONIX_CDC_BATCH_TIMEOUT_MS },
    retry: {
      maxDelayMs: environment.PONIX_CDC_RETRY_DELAY_MS,
      maxAttempts: environment.PONIX_CDC_MAX_RETRY_ATTEMPTS,
    },
    snapshot: environment.PONIX_CDC_SNAPSHOT,
    heartbeatMs: environment.PONIX_CDC_HEARTBEAT_MS,
    logger,
  })
}
