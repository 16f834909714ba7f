import { EvaluationPool } from '../../src/cel/evaluation-pool.ts'
import type { ProcessedEnvelopeWriter } from '../../src/clickhouse/envelope-writer.ts'
import { now } from '../../src/domain/instant.ts'
import type { EndDeviceRepository, OrganizationRepository } from '../../src/domain/ports.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { runConsumer } from '../../src/nats/consumer.ts'
import { createProducer, type Producer } from '../../src/nats/producer.ts'
import type { CaptureActivity } from '../../src/postgres/replication/slot.ts'
import type { LastSeenStore } from '../../src/postgres/end-device-repository.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { ReadinessCheck } from '../../src/runner/health.ts'
import type { AppProcess, Closer } from '../../src/runner/lifecycle.ts'
import type { AnalyticsEnvironment } from './clients.ts'
import { createProcessedHandler, createRawHandler } from './consumers.ts'
import { DeviceChanges } from './device-changes.ts'
import { DeviceDirectory } from './device-directory.ts'
import { LastSeenRecorder, LastSeen } from './last-seen.ts'
import { analyticsMetrics } from './metrics.ts'
import { RawEnvelopeProcessor } from './raw-envelope-processor.ts'

export interface AnalyticsParts {
  readonly environment: AnalyticsEnvironment
  readonly nats: NatsClient
  readonly endDevices: Pick<EndDeviceRepository, 'get'>
  readonly organizations: Pick<OrganizationRepository, 'get'>
  readonly capture: CaptureActivity
  readonly lastSeenStore: LastSeenStore
  readonly writer: ProcessedEnvelopeWriter
  /** The program of the evaluation workers. */
  readonly workerUrl: URL
  readonly logger: Logger
}

/** Both consumers of the service, what they share, and what keeps it right. */
export interface Analytics {
  readonly pool: EvaluationPool
  readonly lastSeen: LastSeen
  readonly processes: { readonly raw: AppProcess; readonly processed: AppProcess; readonly changes: AppProcess }
  /** Rejects while no evaluation worker lives. */
  readonly ready: ReadinessCheck
  readonly close: Closer
}

/**
 * Attempts that ended in something that is not the envelope's fault, such as a stop in the middle, before it is given up. An
 * envelope's own patience is a smaller number and lies with its processor.
 */
const MAX_DELIVER = 50
/** Room for the envelopes of unknown devices, which wait for their next try; a full one would hold up everybody. */
const RAW_MAX_ACK_PENDING = 20_000

/** Starts the evaluation workers and sets up the two consumers. */
export async function createAnalytics(parts: AnalyticsParts): Promise<Analytics> {
  const { environment, lastSeenStore, logger, nats, workerUrl } = parts
  const pool = new EvaluationPool({
    workerUrl,
    workers: environment.PONIX_ANALYTICS_WORKERS,
    memoryLimitMb: environment.PONIX_ANALYTICS_WORKER_MEMORY_MB,
    onWorkerLost(death) {
      analyticsMetrics.workersLost.inc({ death })
      logger.warn({ death }, 'an evaluation worker was stopped or crashed; starting another')
    },
  })
  await pool.start()
  const producer = createProducer(nats)
  const recorder = new LastSeenRecorder({ store: lastSeenStore, logger })
  const lastSeen = new LastSeen((id, at) => recorder.note(id, at))
  const changes = new DeviceChanges(parts)
  const directory = new DeviceDirectory({ ...parts, changesAreKnown: () => changes.known })
  return {
    pool,
    lastSeen,
    processes: {
      raw: rawProcess(parts, { pool, producer, lastSeen, directory }),
      processed: processedProcess(parts),
      changes: (signal) => changes.run(directory, signal),
    },
    async ready() {
      if (pool.usage.workers === 0) throw new Error('no evaluation worker runs')
    },
    async close() {
      producer.close()
      await Promise.all([pool[Symbol.asyncDispose](), recorder.close()])
    },
  }
}

interface RawParts {
  readonly pool: EvaluationPool
  readonly producer: Producer
  readonly lastSeen: LastSeen
  readonly directory: DeviceDirectory
}

function rawProcess(
  { environment, logger, nats }: AnalyticsParts,
  { pool, producer, lastSeen, directory }: RawParts,
): AppProcess {
  const processor = new RawEnvelopeProcessor({
    lookUp: (deviceId, signal) => directory.lookUp(deviceId, signal),
    evaluate: (task) => pool.evaluate(task),
    now,
    onDeviceWithoutExpression: (id) =>
      logger.warn({ end_device_id: id }, 'the device has no payload conversion: its messages go to the dead letters'),
  })
  const stream = environment.PONIX_NATS_RAW_STREAM
  const consumer = {
    client: nats,
    service: 'analytics',
    stream,
    durable: 'analytics-raw',
    filterSubject: 'raw_envelopes.>',
    batchSize: environment.PONIX_NATS_BATCH_SIZE,
    batchWaitMs: environment.PONIX_NATS_BATCH_WAIT_MS,
    maxDeliver: MAX_DELIVER,
    maxAckPending: RAW_MAX_ACK_PENDING,
    handle: createRawHandler({ processor, producer, rawStream: stream, lastSeen }),
  }
  return (signal) => runConsumer(consumer, signal)
}

function processedProcess({ environment, logger, nats, writer }: AnalyticsParts): AppProcess {
  const stream = environment.PONIX_PROCESSED_ENVELOPES_STREAM
  const consumer = {
    client: nats,
    service: 'analytics',
    stream,
    durable: 'analytics-processed',
    filterSubject: 'processed_envelopes.>',
    batchSize: environment.PONIX_CLICKHOUSE_BATCH_ROWS,
    batchWaitMs: environment.PONIX_CLICKHOUSE_BATCH_MS,
    maxDeliver: MAX_DELIVER,
    handle: createProcessedHandler({ writer, processedStream: stream, logger }),
  }
  return (signal) => runConsumer(consumer, signal)
}
