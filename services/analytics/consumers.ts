import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnvelopeRow } from '../../src/clickhouse/envelope-text.ts'
import type { ProcessedEnvelopeWriter, RowOutcome } from '../../src/clickhouse/envelope-writer.ts'
import type { ProcessedEnvelope, RawEnvelope } from '../../src/domain/entities.ts'
import { MappingError, PublishError, messageOf, ClickHouseUnavailable } from '../../src/domain/errors.ts'
import { now } from '../../src/domain/instant.ts'
import type { Delivery, MessageResult } from '../../src/nats/delivery.ts'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import type { Producer } from '../../src/nats/producer.ts'
import { subjectToken } from '../../src/nats/publication.ts'
import { decodeRawEnvelope, encodeProcessedEnvelope, decodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import type { LastSeen } from './last-seen.ts'
import { analyticsMetrics, verdictOn } from './metrics.ts'
import type { Failure, RawEnvelopeProcessor } from './raw-envelope-processor.ts'

export interface RawConsumerParts {
  readonly processor: RawEnvelopeProcessor
  readonly producer: Producer
  readonly rawStream: string
  readonly lastSeen: LastSeen
}

const ACK: MessageResult = { kind: 'ack' }

/**
 * The handler of raw envelopes: each becomes a processed envelope in JetStream before it is acknowledged. Each is answered on
 * its own: one whose expression takes long holds up none of those that came with it or after it.
 */
export function createRawHandler(parts: RawConsumerParts) {
  return async (batch: readonly Delivery[], signal: AbortSignal): Promise<readonly Promise<MessageResult>[]> => {
    // Every envelope listens for the end; Node would take that for a leak.
    setMaxListeners(0, signal)
    return batch.map((delivery) => handle(parts, delivery, signal))
  }
}

/** Never rejects: an envelope that fails for whatever reason does not decide for its neighbours. */
async function handle(parts: RawConsumerParts, delivery: Delivery, signal: AbortSignal): Promise<MessageResult> {
  let raw: RawEnvelope | undefined
  try {
    raw = decodeRawEnvelope(delivery.body)
    subjectToken(raw.endDeviceId)
    const outcome = await parts.processor.process(raw, delivery.attempt, signal)
    if (outcome.kind !== 'processed') return verdictOn(outcome)
    await publish(parts, delivery, outcome.envelope)
    note(parts, outcome.envelope)
    return ACK
  } catch (error) {
    return verdictOn(raw === undefined ? undecodable(error) : failureOf(raw, error))
  }
}

function undecodable(error: unknown): Failure {
  const kind = error instanceof MappingError ? 'dead_letter' : 'retry'
  return { kind, cause: 'undecodable', reason: `not a raw envelope: ${messageOf(error)}` }
}

/**
 * The message id is made of what JetStream says of the raw envelope, so that it is the same on every redelivery; with the time,
 * because the sequence starts anew when the stream is made anew. A message that was replayed keeps the name that it had at first:
 * however often an envelope is replayed, and whatever came of it before, it is one.
 */
async function publish(
  { producer, rawStream }: RawConsumerParts,
  delivery: Delivery,
  envelope: ProcessedEnvelope,
): Promise<void> {
  const publication = {
    subject: `processed_envelopes.${subjectToken(envelope.endDeviceId)}`,
    body: encodeProcessedEnvelope(envelope),
    messageId: delivery.header(REPLAY_HEADERS.of) ?? `${rawStream}:${delivery.streamSequence}:${delivery.storedAtMs}`,
  }
  // Without the signal, which would cost more than all else here: a publication that is not stored by the end is not answered.
  await producer.publish(publication)
}

function note({ lastSeen }: RawConsumerParts, envelope: ProcessedEnvelope): void {
  lastSeen.note(envelope)
  analyticsMetrics.processed.inc()
  const delayMicros = Number(envelope.processedAt - envelope.occurredAt)
  analyticsMetrics.delaySeconds.observe({ stage: 'processed' }, Math.max(0, delayMicros / 1e6))
}

/** A message that JetStream will never take is a dead letter; whatever else went wrong is not the envelope's fault. */
function failureOf(raw: RawEnvelope, error: unknown): Failure {
  const reason = `device ${raw.endDeviceId}: ${messageOf(error)}`
  const hopeless =
    error instanceof MappingError ||
    (error instanceof PublishError && (error.code === 'too_large' || error.code === 'invalid'))
  if (hopeless) return { kind: 'dead_letter', cause: 'not_publishable', reason }
  return { kind: 'retry', cause: 'internal', reason }
}

export interface ProcessedConsumerParts {
  readonly writer: ProcessedEnvelopeWriter
  readonly processedStream: string
  readonly logger: Logger
  /** First and longest pause between two tries while ClickHouse does not take rows. */
  readonly retryDelaysMs?: { readonly first: number; readonly longest: number }
}

/** The handler of processed envelopes: a batch is one insert, and what ClickHouse has durably is acknowledged. */
export function createProcessedHandler(parts: ProcessedConsumerParts) {
  return async (batch: readonly Delivery[], signal: AbortSignal): Promise<readonly MessageResult[]> => {
    const decoded = batch.map((delivery) => decode(parts, delivery))
    const rows = decoded.filter((row): row is EnvelopeRow => 'envelopeId' in row)
    const outcomes = rows.length === 0 ? [] : await store(parts, rows, signal)
    const verdicts = new Map(rows.map((row, index) => [row, verdictOnRow(row, outcomes[index])]))
    return decoded.map((row) => ('envelopeId' in row ? (verdicts.get(row) ?? verdictOnRow(row, undefined)) : row))
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

function verdictOnRow({ envelope }: EnvelopeRow, outcome: RowOutcome | undefined): MessageResult {
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
    reason: `ClickHouse rejected the envelope of device ${envelope.endDeviceId}: ${reason}`,
  })
}
