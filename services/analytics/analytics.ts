import { EvaluationPool } from '../../src/codecs/pool/evaluation-pool.ts'
import type { ProcessedEnvelopeWriter } from '../../src/clickhouse/envelope-writer.ts'
import type { ExpiredRows } from '../../src/clickhouse/expired-rows.ts'
import { messageOf } from '../../src/domain/errors.ts'
import { now } from '../../src/domain/instant.ts'
import type {
  DeviceProfileRepository,
  EndDeviceRepository,
  OrganizationRepository,
  RetentionReader,
} from '../../src/domain/ports.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { runConsumer } from '../../src/nats/consumer/consumer.ts'
import type { ConsumerOptions } from '../../src/nats/consumer/consumer-options.ts'
import { DeadLetterQuota } from '../../src/nats/dead-letter-quota.ts'
import { BundleQueue } from '../../src/nats/bundle-queue.ts'
import { DeferredMessages } from '../../src/nats/deferred-messages.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import { observeStreams } from '../../src/nats/stream-usage.ts'
import type { CaptureActivity } from '../../src/postgres/replication/slot.ts'
import type { LastSeenStore } from '../../src/postgres/end-device-repository.ts'
import { decodeBundle, encodeBundle } from '../../src/proto/bundle.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { ACTIVE_MS, Admission } from './surplus/admission.ts'
import type { AnalyticsEnvironment } from './clients.ts'
import { CONSUMERS, SURPLUS_PREFIX } from './consumers.ts'
import { createProcessedHandler, sinceReceiptMs } from './processed-consumer.ts'
import { createRawHandler } from './raw-consumer.ts'
import { DeferralLog } from './deferral-log.ts'
import { createDeferredHandler } from './deferred-consumer.ts'
import { DeferredScans } from './deferred-scans.ts'
import { DeviceChanges } from './device-changes.ts'
import { DeviceDirectory } from './device-directory.ts'
import { LastSeenRecorder } from './last-seen.ts'
import { analyticsMetrics } from './metrics.ts'
import { RawEnvelopeProcessor } from './raw-envelope-processor.ts'
import { enforceRetention } from './row-retention.ts'
import { SurplusDrain } from './surplus/surplus-drain.ts'
import { SurplusWriter } from './surplus/surplus-writer.ts'
import { timeoutSignal } from '../../src/runner/timeout-signal.ts'

export interface AnalyticsParts {
  readonly environment: AnalyticsEnvironment
  readonly nats: NatsClient
  readonly endDevices: Pick<EndDeviceRepository, 'getMany'>
  readonly organizations: Pick<OrganizationRepository, 'getMany'> & RetentionReader
  readonly profiles: Pick<DeviceProfileRepository, 'getCodecs'>
  readonly capture: CaptureActivity
  readonly lastSeenStore: LastSeenStore
  readonly writer: ProcessedEnvelopeWriter
  readonly expiredRows: Pick<ExpiredRows, 'delete'>
  /** The program of an evaluation worker. */
  readonly workerUrl: URL
  readonly logger: Logger
}

/** The limit of attempts that failed for reasons unrelated to the envelope, such as a stop; the processor has a smaller limit. */
const MAX_DELIVER = 50
/** The limit covers the envelopes that wait for a retry; at the limit all delivery would stop. */
const RAW_MAX_ACK_PENDING = 20_000
/** The raw envelopes in progress. */
const RAW_OPEN = { items: 1000, bytes: 64 * 1024 * 1024 }
/** The raw envelopes without a result: those in progress, and those that are being set aside, which costs little. */
const RAW_MAX_OPEN = 4000
/** The batches of raw envelopes that are pulled ahead, because a busy NATS takes longer to answer a pull than a batch takes. */
const RAW_PREFETCHED_BATCHES = 4
const ACTIVITY_TIMEOUT_MS = 2000
/** Few, because each deferred envelope in progress is held until its wait ends. */
const DEFERRED_BATCH_SIZE = 100
const DEFERRED_BATCH_WAIT_MS = 100

/** Starts the evaluation workers and sets up the three consumers. */
export async function createAnalytics(parts: AnalyticsParts) {
  const { environment, lastSeenStore, logger, nats, workerUrl, writer } = parts
  const pool = new EvaluationPool({
    workerUrl,
    workers: environment.PONIX_ANALYTICS_WORKERS,
    memoryLimitMb: environment.PONIX_ANALYTICS_WORKER_MEMORY_MB,
    onWorkerLost(death) {
      analyticsMetrics.workersLost.inc({ death })
      logger.warn({ death }, `lost an evaluation worker (${death}); starting another worker`)
    },
  })
  await pool.start()
  const producer = createProducer(nats)
  const lastSeen = new LastSeenRecorder({ store: lastSeenStore, logger })
  const changes = new DeviceChanges(parts)
  const release = (dataBytes: number): void => pool.release(dataBytes)
  const directory = new DeviceDirectory({ ...parts, cdcAvailable: () => changes.available })
  const processor = new RawEnvelopeProcessor({
    lookUp: (deviceId, signal) => directory.lookUp(deviceId, signal),
    evaluate: (task) => pool.evaluate(task),
    release,
    now,
    onDeviceWithoutExpression: (id) =>
      logger.warn(
        { end_device_id: id },
        'the device has no payload conversion and no profile; its messages become dead letters; set one of them',
      ),
  })
  const { PONIX_NATS_RAW_STREAM: rawStream, PONIX_PROCESSED_ENVELOPES_STREAM: processedStream } = environment
  const { PONIX_NATS_DEFERRED_STREAM: deferredStream, PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_MS: waitMs } = environment
  const deferred = new DeferredMessages(nats, deferredStream)
  const unknownLog = new DeferralLog(logger, `waiting ${waitMs / 1000} s for unknown devices`)
  const surplusLog = new DeferralLog(logger, 'envelopes beyond the share of their organization are processed later')
  const onDeferred = (reason: string): void => unknownLog.add(reason)
  const rawParts = { processor, release, producer, rawStream, lastSeen, deferred, onDeferred }
  const scans = new DeferredScans({ ...rawParts, logger })
  const wasShared = await isShared(parts)
  const admission = new Admission({ limits: RAW_OPEN, wasShared, now: () => performance.now() })
  const queue = new BundleQueue(nats, {
    stream: environment.PONIX_NATS_SURPLUS_STREAM,
    prefix: SURPLUS_PREFIX,
    encode: encodeBundle,
    decode: decodeBundle,
  })
  const surplus = new SurplusWriter({
    queue,
    onStored(organizationId, envelopes) {
      surplusLog.add(`organization ${organizationId}`, envelopes)
      drain.add(organizationId)
    },
  })
  const deadLetterQuota = new DeadLetterQuota(environment.PONIX_DEAD_LETTER_QUOTA, logger)
  const drain = new SurplusDrain({ ...rawParts, queue, admission, deadLetterQuota, logger })
  const common = { client: nats, service: 'analytics', maxDeliver: MAX_DELIVER, deadLetterQuota }
  const rawConsumer = {
    ...common,
    stream: rawStream,
    durable: CONSUMERS.raw,
    filterSubject: 'raw_envelopes.>',
    batchSize: environment.PONIX_NATS_BATCH_SIZE,
    prefetch: RAW_PREFETCHED_BATCHES * environment.PONIX_NATS_BATCH_SIZE,
    batchWaitMs: environment.PONIX_NATS_BATCH_WAIT_MS,
    maxAckPending: RAW_MAX_ACK_PENDING,
    maxOpen: RAW_MAX_OPEN,
    maxOpenBytes: RAW_OPEN.bytes,
    handle: createRawHandler({ ...rawParts, admission, surplus }),
  }
  const deferredConsumer = (signal: AbortSignal): ConsumerOptions => ({
    ...common,
    stream: deferredStream,
    durable: CONSUMERS.deferred,
    filterSubject: 'deferred_envelopes.*',
    batchSize: DEFERRED_BATCH_SIZE,
    batchWaitMs: DEFERRED_BATCH_WAIT_MS,
    maxOpen: DEFERRED_BATCH_SIZE,
    handle: createDeferredHandler({ ...rawParts, surplus, waitMs }, signal),
  })
  const processedConsumer = {
    ...common,
    stream: processedStream,
    durable: CONSUMERS.processed,
    // The id is derived from the raw envelope, which can be processed again after the duplicate window.
    hasUniqueIds: true,
    filterSubject: 'processed_envelopes.>',
    batchSize: environment.PONIX_CLICKHOUSE_BATCH_ROWS,
    batchWaitMs: environment.PONIX_CLICKHOUSE_BATCH_MS,
    waitedMs: sinceReceiptMs,
    handle: createProcessedHandler({ writer, processedStream, logger, lastSeen }),
  }
  return {
    pool,
    processes: {
      raw: (signal: AbortSignal) => runConsumer(rawConsumer, signal),
      deferred: (signal: AbortSignal) => runConsumer(deferredConsumer(signal), signal),
      scans: (signal: AbortSignal) => scans.run(signal),
      surplus: (signal: AbortSignal) => drain.run(signal),
      processed: (signal: AbortSignal) => runConsumer(processedConsumer, signal),
      streams: (signal: AbortSignal) => observeStreams(nats, signal),
      changes: (signal: AbortSignal) => changes.run([directory, scans], signal),
      retention: (signal: AbortSignal) => enforceRetention({ ...parts, now }, signal),
      deadLetterQuota: (signal: AbortSignal) => deadLetterQuota.run(signal),
    },
    /** Checks readiness: rejects while no evaluation worker is running. */
    ready: async (): Promise<void> => {
      if (pool.usage.workers === 0)
        throw new Error('no evaluation worker is running; a crashed worker is restarted automatically, see the log')
    },
    close: async (): Promise<void> => {
      producer.close()
      deadLetterQuota.endHour()
      await Promise.all([pool[Symbol.asyncDispose](), lastSeen.close()])
    },
  }
}

/** Returns whether several organizations were active recently; true if it is not known. */
async function isShared({ lastSeenStore, logger }: Pick<AnalyticsParts, 'lastSeenStore' | 'logger'>): Promise<boolean> {
  try {
    const signal = timeoutSignal(ACTIVITY_TIMEOUT_MS)
    return await lastSeenStore.hasSeveralOrganizations(ACTIVE_MS, { signal })
  } catch (error) {
    logger.debug(`cannot read which organizations were active: ${messageOf(error)}`)
    return true
  }
}
