import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RawEnvelope } from '../../src/domain/entities.ts'
import { MappingError, PublishError, messageOf } from '../../src/domain/errors.ts'
import type { Delivery, MessageResult, PulledDelivery } from '../../src/nats/delivery.ts'
import type { DeferredMessages } from '../../src/nats/deferred-messages.ts'
import { subjectToken } from '../../src/nats/publisher/publication.ts'
import { decodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Admission } from './surplus/admission.ts'
import type { LastSeenRecorder } from './last-seen.ts'
import { analyticsMetrics, observeDelay } from './metrics.ts'
import { publishReadings, type PublishReadingsParts } from './publish-readings.ts'
import type {
  Failure,
  FailureCause,
  ProcessedOutcome,
  RawEnvelopeProcessor,
  RawOutcome,
  Unknown,
} from './raw-envelope-processor.ts'
import { ACK, failed } from './results.ts'
import type { SurplusWriter } from './surplus/surplus-writer.ts'

export interface ProcessRawParts extends PublishReadingsParts {
  readonly processor: RawEnvelopeProcessor
  /** Releases the data of the processed envelopes of a raw envelope. */
  readonly release: (dataBytes: number) => void
  readonly lastSeen: Pick<LastSeenRecorder, 'record'>
}

export interface DeferParts extends ProcessRawParts {
  readonly deferred: Pick<DeferredMessages, 'add'>
  /** Called for each envelope that waits for its device from now on. */
  onDeferred(reason: string): void
}

/** Returns the result of an envelope that is neither processed nor failed. */
export interface Alternatives {
  readonly whenUnknown: (unknown: Unknown) => MessageResult | Promise<MessageResult>
  /** The envelope is beyond its organization's share of the evaluation; absent: it waits until it can be evaluated. */
  readonly whenFull?: (() => Promise<MessageResult>) | undefined
}

export interface RawConsumerParts extends DeferParts {
  readonly admission: Admission
  readonly surplus: Pick<SurplusWriter, 'add'>
}

/** The pause until an envelope is evaluated that was beyond the share of its organization. */
const FULL_PAUSE_MS = 100

/**
 * Handles raw envelopes: each is published as processed envelopes, one per reading, stored to wait for its device, or stored as surplus, before it
 * is acknowledged. Results are independent promises, so that a slow expression delays no other envelope.
 */
export function createRawHandler(parts: RawConsumerParts) {
  return async (batch: readonly PulledDelivery[], signal: AbortSignal): Promise<readonly Promise<MessageResult>[]> => {
    // Every envelope adds an abort listener; Node would warn about a leak.
    setMaxListeners(0, signal)
    parts.admission.pending = batch.at(-1)?.pending ?? 0
    await parts.admission.untilRoom(signal)
    return batch.map((delivery) => handleRaw(parts, delivery, signal))
  }
}

/** Returns the promise of the bundle for surplus: a promise of its own for each envelope would cost as much as the rest. */
function handleRaw(parts: RawConsumerParts, delivery: PulledDelivery, signal: AbortSignal): Promise<MessageResult> {
  const raw = decodeRaw(delivery)
  if ('kind' in raw) return Promise.resolve(failed(raw))
  const { organizationId } = raw
  if (parts.admission.admit(organizationId, delivery.body.length)) return processAdmitted(parts, delivery, raw, signal)
  return parts.surplus.add(organizationId, delivery)
}

async function processAdmitted(
  parts: RawConsumerParts,
  delivery: PulledDelivery,
  raw: RawEnvelope,
  signal: AbortSignal,
): Promise<MessageResult> {
  const { admission, surplus } = parts
  const { organizationId } = raw
  const bytes = delivery.body.length
  try {
    const setAside = (): Promise<MessageResult> => surplus.add(organizationId, delivery)
    return await concludeRaw(parts, delivery, raw, signal, {
      whenUnknown: (unknown) => defer(parts, delivery, unknown),
      whenFull: admission.canBeSurplus(bytes) ? setAside : undefined,
    })
  } finally {
    admission.release(organizationId, bytes)
  }
}

/** Processes an envelope until it has a result; never rejects. */
export async function concludeRaw(
  parts: ProcessRawParts,
  delivery: Delivery,
  raw: RawEnvelope,
  signal: AbortSignal,
  { whenUnknown, whenFull }: Alternatives,
): Promise<MessageResult> {
  for (;;) {
    const failure = await processDecoded(parts, delivery, raw, signal)
    if (failure === undefined) return ACK
    if (failure.kind === 'unknown') return await whenUnknown(failure)
    if (failure.kind !== 'deferred') return failed(failure)
    if (whenFull !== undefined) return await whenFull()
    const waited = await sleep(FULL_PAUSE_MS, true, { signal }).catch(() => false)
    if (!waited) return { kind: 'retry', reason: 'the service stops before the envelope is evaluated' }
  }
}

/** An outcome of an envelope that is not published. */
export type RawFailure = Exclude<RawOutcome, { kind: 'processed' }>

/** Processes and publishes a copy of a raw envelope; returns undefined if it is published. Never rejects. */
export async function processRaw(
  parts: ProcessRawParts,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<RawFailure | undefined> {
  const raw = decodeRaw(delivery)
  return 'kind' in raw ? raw : await processDecoded(parts, delivery, raw, signal)
}

export function decodeRaw({ body }: Delivery): RawEnvelope | Failure {
  try {
    return decodeRawEnvelope(body)
  } catch (error) {
    return decodingFailure(error)
  }
}

async function processDecoded(
  parts: ProcessRawParts,
  delivery: Delivery,
  raw: RawEnvelope,
  signal: AbortSignal,
): Promise<RawFailure | undefined> {
  try {
    subjectToken(raw.endDeviceId)
    const outcome = await parts.processor.process(raw, signal)
    if (outcome.kind === 'deferred') return outcome
    if (outcome.kind !== 'processed') {
      if (isOfDevice(outcome.cause)) recordFailure(parts, raw, outcome.reason)
      return { ...outcome, organizationId: raw.organizationId }
    }
    await publishOutcome(parts, delivery, raw, outcome)
    return undefined
  } catch (error) {
    return { ...publishFailure(raw, error), organizationId: raw.organizationId }
  }
}

/** Returns whether the device exists and the envelope is of its organization: another organization must not change what it shows. */
function isOfDevice(cause: FailureCause): boolean {
  return cause === 'expression' || cause === 'no_expression'
}

function recordFailure({ lastSeen }: ProcessRawParts, { endDeviceId, receivedAt }: RawEnvelope, failure: string): void {
  lastSeen.record({ endDeviceId, receivedAt, failure })
}

async function publishOutcome(
  parts: ProcessRawParts,
  delivery: Delivery,
  { endDeviceId, receivedAt }: RawEnvelope,
  outcome: ProcessedOutcome,
): Promise<void> {
  const { envelopes, processedAt, dataBytes } = outcome
  let wasStored: boolean
  try {
    wasStored = await publishReadings(parts, delivery, outcome)
  } finally {
    parts.release(dataBytes)
  }
  parts.lastSeen.record({ endDeviceId, receivedAt })
  if (envelopes.length === 0) analyticsMetrics.withoutReadings.inc()
  if (wasStored) return
  analyticsMetrics.processed.inc()
  observeDelay('processed', processedAt - receivedAt)
}

/** Stores an envelope where it waits for its device, so that it does not hold a place of the consumer; never rejects. */
export async function defer(parts: DeferParts, delivery: Delivery, unknown: Unknown): Promise<MessageResult> {
  const { cause, organizationId, reason } = unknown
  try {
    await parts.deferred.add(deferredSubject(organizationId), delivery, parts.rawStream)
    analyticsMetrics.failed.inc({ cause, outcome: 'deferred' })
    parts.onDeferred(reason)
    return ACK
  } catch (error) {
    const kind = error instanceof PublishError ? 'dead_letter' : 'retry'
    const text = `${reason}; the envelope cannot wait for it: ${messageOf(error)}`
    return failed({ kind, cause, reason: text, organizationId })
  }
}

/** Returns the subject of deferred envelopes: one per organization, because the limit per subject is its share of the stream. */
export function deferredSubject(organizationId: string): string {
  return `deferred_envelopes.${subjectToken(organizationId)}`
}

function decodingFailure(error: unknown): Failure {
  const kind = error instanceof MappingError ? 'dead_letter' : 'retry'
  return { kind, cause: 'undecodable', reason: `not a raw envelope: ${messageOf(error)}` }
}

/** Classifies an error. Only an envelope that JetStream can never store becomes a dead letter; other errors are unrelated to it. */
function publishFailure(raw: RawEnvelope, error: unknown): Failure {
  const reason = `device ${raw.endDeviceId}: ${messageOf(error)}`
  const isFinal =
    error instanceof MappingError ||
    (error instanceof PublishError && (error.code === 'too_large' || error.code === 'invalid'))
  if (isFinal) return { kind: 'dead_letter', cause: 'not_publishable', reason }
  return { kind: 'retry', cause: 'internal', reason }
}
