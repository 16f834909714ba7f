import { setTimeout as sleep } from 'node:timers/promises'
import type { EnvelopeRow, ProcessedEnvelopeWriter, RowOutcome } from '../../src/clickhouse/envelope-writer.ts'
import { ClickHouseUnavailable, MappingError, messageOf } from '../../src/domain/errors.ts'
import { now } from '../../src/domain/instant.ts'
import type { Delivery, Verdict } from '../../src/nats/consumer.ts'
import { REPLAY_HEADERS } from '../../src/nats/dead-letter.ts'
import { decodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { analyticsMetrics } from './metrics.ts'
import { verdictOn } from './verdict.ts'

export interface ProcessedConsumerParts {
  readonly writer: ProcessedEnvelopeWriter
  readonly processedStream: string
  readonly logger: Logger
  /** First and longest pause between two tries while ClickHouse does not take rows. */
  readonly retryDelaysMs?: { readonly first: number; readonly longest: number }
}

const ACK: Verdict = { kind: 'ack' }

/** The handler of processed envelopes: a batch is one insert, and what ClickHouse has durably is acknowledged. */
export function createProcessedHandler(parts: ProcessedConsumerParts) {
  return async (batch: readonly Delivery[], signal: AbortSignal): Promise<readonly Verdict[]> => {
    const decoded = batch.map((delivery) => decode(parts, delivery))
    const rows = decoded.filter((row): row is EnvelopeRow => 'identity' in row)
    const outcomes = rows.length === 0 ? [] : await store(parts, rows, signal)
    const verdicts = new Map(rows.map((row, index) => [row, verdictOnRow(row, outcomes[index])]))
    return decoded.map((row) => ('identity' in row ? (verdicts.get(row) ?? verdictOnRow(row, undefined)) : row))
  }
}

function decode({ processedStream }: ProcessedConsumerParts, delivery: Delivery): EnvelopeRow | Verdict {
  try {
    const messageId = delivery.header(REPLAY_HEADERS.messageId) ?? delivery.header('Nats-Msg-Id')
    const identity = messageId ?? `${processedStream}:${delivery.streamSequence}`
    return { envelope: decodeProcessedEnvelope(delivery.body), identity }
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    const reason = `not a processed envelope: ${error.message}`
    return verdictOn({ kind: 'dead_letter', cause: 'undecodable', reason })
  }
}

/**
 * The same batch until ClickHouse takes it: nothing else would be right, for it may have the rows already. Meanwhile no other
 * batch is fetched, so the rest waits in JetStream. Rejects when the signal aborts.
 */
async function store(
  { writer, logger, retryDelaysMs }: ProcessedConsumerParts,
  rows: readonly EnvelopeRow[],
  signal: AbortSignal,
): Promise<readonly RowOutcome[]> {
  const { first, longest } = retryDelaysMs ?? { first: 200, longest: 5000 }
  const stopTimer = analyticsMetrics.insertSeconds.startTimer()
  for (let delayMs = first; ; delayMs = Math.min(delayMs * 2, longest)) {
    try {
      const outcomes = await writer.write(rows, signal)
      stopTimer()
      analyticsMetrics.insertRows.observe(rows.length)
      if (delayMs > first) logger.info({ rows: rows.length }, 'ClickHouse takes rows again')
      return outcomes
    } catch (error) {
      if (!(error instanceof ClickHouseUnavailable)) throw error
      if (delayMs === first) logger.warn({ rows: rows.length }, `rows wait for ClickHouse: ${messageOf(error)}`)
      analyticsMetrics.insertRetries.inc()
    }
    await sleep(delayMs, undefined, { signal })
  }
}

function verdictOnRow({ envelope }: EnvelopeRow, outcome: RowOutcome | undefined): Verdict {
  if (outcome?.kind === 'stored') {
    analyticsMetrics.stored.inc()
    const delayMicros = Number(now() - envelope.occurredAt)
    analyticsMetrics.delaySeconds.observe({ stage: 'stored' }, Math.max(0, delayMicros / 1e6))
    return ACK
  }
  const reason = outcome?.reason ?? 'the writer said nothing of this row'
  return verdictOn({
    kind: outcome === undefined ? 'retry' : 'dead_letter',
    cause: outcome === undefined ? 'internal' : 'refused',
    reason: `ClickHouse refused the envelope of device ${envelope.endDeviceId}: ${reason}`,
  })
}
