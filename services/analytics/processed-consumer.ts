import { setTimeout as sleep } from 'node:timers/promises'
import type { EnvelopeRow } from '../../src/clickhouse/envelope-text.ts'
import type { ProcessedEnvelopeWriter, RowOutcome } from '../../src/clickhouse/envelope-writer.ts'
import type { ProcessedEnvelope } from '../../src/domain/entities.ts'
import { ClickHouseUnavailable, MappingError, messageOf } from '../../src/domain/errors.ts'
import { now } from '../../src/domain/instant.ts'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import type { Delivery, MessageResult } from '../../src/nats/delivery.ts'
import { decodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { LastSeenRecorder } from './last-seen.ts'
import { analyticsMetrics, observeDelay } from './metrics.ts'
import type { Failure } from './raw-envelope-processor.ts'
import { ACK, failed } from './results.ts'

type FailedRow = Exclude<RowOutcome, { kind: 'stored' }>

export interface ProcessedConsumerParts {
  readonly writer: ProcessedEnvelopeWriter
  readonly processedStream: string
  readonly logger: Logger
  readonly lastSeen: Pick<LastSeenRecorder, 'record'>
}

/** Handles processed envelopes: a batch is one insert, and rows are acknowledged once ClickHouse has stored them durably. */
export function createProcessedHandler(parts: ProcessedConsumerParts) {
  return async (batch: readonly Delivery[], signal: AbortSignal): Promise<readonly MessageResult[]> => {
    const decoded = batch.map((delivery) => decode(parts, delivery))
    const rows = decoded.filter((row): row is EnvelopeRow => 'envelopeId' in row)
    const outcomes = rows.length === 0 ? [] : await store(parts, rows, signal)
    let next = 0
    return decoded.map((row) => ('envelopeId' in row ? resultOf(parts, row, outcomes[next++]) : row))
  }
}

function decode({ processedStream }: ProcessedConsumerParts, delivery: Delivery): EnvelopeRow | MessageResult {
  try {
    const messageId = delivery.header(REPLAY_HEADERS.messageId) ?? delivery.header('Nats-Msg-Id')
    const envelopeId = messageId ?? `${processedStream}:${delivery.streamSequence}`
    return { envelope: decodeProcessedEnvelope(delivery.body), envelopeId }
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    const reason = `not a processed envelope: ${error.message}`
    return failed({ kind: 'dead_letter', cause: 'undecodable', reason })
  }
}

/** Returns the microseconds since the receipt of the raw envelope; a reading of it can be of another time. */
function sinceReceipt({ occurredAt, receivedAt = occurredAt }: ProcessedEnvelope): bigint {
  return now() - receivedAt
}

/** Returns the time in ms since the raw envelope of a processed envelope was received; 0 if it cannot be decoded. */
export function sinceReceiptMs({ body }: Delivery): number {
  try {
    return Number(sinceReceipt(decodeProcessedEnvelope(body)) / 1000n)
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    return 0
  }
}

const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 5000

/**
 * Retries the same batch until ClickHouse, which may already have stored it, accepts it. No other batch is fetched meanwhile, so
 * the backlog stays in JetStream. Rejects when the signal aborts.
 */
async function store(
  { writer, logger }: ProcessedConsumerParts,
  rows: readonly EnvelopeRow[],
  signal: AbortSignal,
): Promise<readonly RowOutcome[]> {
  const stopTimer = analyticsMetrics.insertSeconds.startTimer()
  for (let delayMs = FIRST_RETRY_MS; ; delayMs = Math.min(delayMs * 2, MAX_RETRY_MS)) {
    try {
      const outcomes = await writer.write(rows, signal)
      stopTimer()
      analyticsMetrics.insertRows.observe(rows.length)
      if (delayMs > FIRST_RETRY_MS) logger.info({ rows: rows.length }, 'ClickHouse accepts rows again')
      return outcomes
    } catch (error) {
      if (!(error instanceof ClickHouseUnavailable)) throw error
      if (delayMs === FIRST_RETRY_MS)
        logger.warn({ rows: rows.length }, `retrying until ClickHouse accepts the rows: ${messageOf(error)}`)
      analyticsMetrics.insertRetries.inc()
    }
    await sleep(delayMs, undefined, { signal })
  }
}

function resultOf(
  { lastSeen }: ProcessedConsumerParts,
  { envelope }: EnvelopeRow,
  outcome: RowOutcome | undefined,
): MessageResult {
  if (outcome?.kind === 'stored') {
    analyticsMetrics.stored.inc()
    observeDelay('stored', sinceReceipt(envelope))
    return ACK
  }
  const failure = storageFailure(envelope, outcome)
  const { endDeviceId, organizationId, occurredAt, receivedAt = occurredAt } = envelope
  if (failure.kind === 'dead_letter') lastSeen.record({ endDeviceId, receivedAt, failure: failure.reason })
  return failed({ ...failure, organizationId })
}

function storageFailure({ endDeviceId }: ProcessedEnvelope, outcome: FailedRow | undefined): Failure {
  if (outcome === undefined) return { kind: 'retry', cause: 'internal', reason: 'the writer returned no outcome' }
  if (outcome.kind === 'later') return { kind: 'retry', cause: 'refused', reason: outcome.reason }
  const reason = `ClickHouse rejected the envelope of device ${endDeviceId}: ${outcome.reason}`
  return { kind: 'dead_letter', cause: 'refused', reason }
}
