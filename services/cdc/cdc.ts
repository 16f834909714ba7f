import { StartupError, ReplicationError } from '../../src/domain/errors.ts'
import { connectNats, type NatsClient } from '../../src/nats/connection.ts'
import { publishRefused } from '../../src/nats/dead-letters.ts'
import { createOrderedPublisher, createProducer } from '../../src/nats/producer.ts'
import { ensureStreams } from '../../src/nats/streams.ts'
import { postgresServer } from '../../src/postgres/database.ts'
import { ChangeCapture } from '../../src/postgres/replication/change-capture.ts'
import { waitForPostgres } from '../../src/postgres/replication/replication-connection.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { RunnerOptions } from '../../src/runner/runner.ts'
import { connectWithBackoff } from '../../src/runner/startup.ts'
import { ChangePublisher } from './change-publisher.ts'
import { CAPTURED_TABLES, ENTITIES } from './entities.ts'
import type { Entity } from './entity.ts'
import { cdcStreams, streamOf, type CdcEnvironment } from './environment.ts'
import { deadLetterBody, actionOf } from './event.ts'
import { deadLetterMetric, observeCdc, monitorSlot } from './metrics.ts'

/** NATS counts a message's headers too. */
const HEADER_BYTES = 2048
const SMALLEST_MAX_PAYLOAD = 1024 * 1024

/** The parts of the service, for the runner. */
export type CdcService = Pick<RunnerOptions, 'processes' | 'closers' | 'readiness' | 'routes'>

/** Connects to both servers; throws a StartupError when one does not answer in time. */
export async function openCdc(environment: CdcEnvironment, logger: Logger): Promise<CdcService> {
  const server = postgresServer(environment)
  const startupTimeoutMs = environment.PONIX_STARTUP_TIMEOUT_MS
  await waitForPostgres(server, { timeoutMs: startupTimeoutMs, logger })
  const nats = await connectNats({ url: environment.PONIX_NATS_URL, name: 'ponix-cdc', startupTimeoutMs, logger })
  const jetstream = { server: 'JetStream', address: environment.PONIX_NATS_URL, timeoutMs: startupTimeoutMs, logger }
  // It has to write files for that: on a busy disk a request takes longer than the client waits.
  await connectWithBackoff(jetstream, () => ensureStreams(nats, cdcStreams(environment)))
  const publisher = createChangePublisher(nats, environment, logger)
  const capture = createCapture(server, publisher, environment, logger)
  observeCdc({
    get published() {
      return publisher.counts()
    },
    get inFlight() {
      return capture.inFlight
    },
    get lagSeconds() {
      return capture.oldestCommitTime === undefined ? 0 : Date.now() / 1000 - Number(capture.oldestCommitTime) / 1e6
    },
    get retries() {
      return capture.retries
    },
    get streaming() {
      return capture.state === 'streaming'
    },
    get heartbeatAgeSeconds() {
      return capture.lastHeartbeatMs === undefined ? 0 : (Date.now() - capture.lastHeartbeatMs) / 1000
    },
  })
  const warnBytes = environment.PONIX_CDC_RETAINED_WAL_WARN_MB * 1024 * 1024
  return {
    processes: {
      capture: (signal) => {
        signal.addEventListener('abort', () => publisher.stop(), { once: true })
        return capture.run(signal).catch(throwInOneLine)
      },
      monitor: (signal) => monitorSlot(capture, { warnBytes, logger }, signal),
    },
    closers: { nats: () => nats.drain(), publisher: () => publisher.close() },
    readiness: {
      nats: (signal) => nats.ping(signal),
      replication: async () => checkFlow(capture, publisher),
    },
  }
}

/** What replication says of itself needs no stack. */
function throwInOneLine(error: unknown): never {
  throw error instanceof ReplicationError ? new StartupError(error.message, { cause: error }) : error
}

/** Ready is who streams or sends what was there before, and who would take over. */
async function checkFlow(capture: ChangeCapture, publisher: ChangePublisher): Promise<void> {
  if (capture.state === 'connecting' || capture.state === 'stopped') throw new Error(`replication is ${capture.state}`)
  if (publisher.stalledBecause !== undefined) throw new Error(`the flow waits: ${publisher.stalledBecause}`)
}

function createChangePublisher(nats: NatsClient, environment: CdcEnvironment, logger: Logger): ChangePublisher {
  const putsAside = environment.PONIX_CDC_ON_ERROR === 'dead_letter'
  return new ChangePublisher({
    slot: environment.PONIX_CDC_SLOT_NAME,
    entities: ENTITIES,
    openPublisher: () => createOrderedPublisher(nats),
    deadLetter: putsAside ? deadLetterWriter(nats, environment, logger) : undefined,
    maxBodyBytes: () => (nats.connection.info?.max_payload ?? SMALLEST_MAX_PAYLOAD) - HEADER_BYTES,
    retryDelayMs: environment.PONIX_CDC_RETRY_DELAY_MS,
    logger,
  })
}

function deadLetterWriter(nats: NatsClient, environment: CdcEnvironment, logger: Logger) {
  const producer = createProducer(nats)
  return async (entity: Entity, change: Parameters<typeof deadLetterBody>[0], messageId: string, reason: string) => {
    const action = actionOf(change.operation)
    const id = String((change.new ?? change.old)?.get(entity.key))
    logger.error({ [`${entity.name}_id`]: id, message_id: messageId }, `${action} goes to the dead letters: ${reason}`)
    const letter = {
      service: 'cdc',
      stream: streamOf(entity.name, environment),
      subject: `${entity.name}.${action} ${id}`,
      body: deadLetterBody(change),
      messageId: `dead_letter.${messageId}`,
      reason,
    }
    await publishRefused(producer, letter, new AbortController().signal)
    deadLetterMetric.inc({ entity: entity.name, operation: action })
  }
}

function createCapture(
  server: PostgresServer,
  publisher: ChangePublisher,
  environment: CdcEnvironment,
  logger: Logger,
): ChangeCapture {
  return new ChangeCapture({
    server,
    slot: environment.PONIX_CDC_SLOT_NAME,
    publication: environment.PONIX_CDC_PUBLICATION_NAME,
    tables: CAPTURED_TABLES,
    onChange: publisher.take,
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
