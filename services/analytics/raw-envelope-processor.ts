import type { Task, TaskResult } from '../../src/codecs/pool/evaluation-scheduler.ts'
import type { Evaluation } from '../../src/codecs/evaluation.ts'
import { isJsonList, type ProcessedEnvelope, type RawEnvelope } from '../../src/domain/entities.ts'
import type { Instant } from '../../src/domain/instant.ts'
import { readingsOf } from '../../src/domain/codecs/reading.ts'
import { boundedWarnings } from '../../src/domain/codecs/warnings.ts'
import type { DeviceLookup } from './device-directory.ts'

/** A metric label. */
export type FailureCause =
  | 'undecodable'
  | 'unknown_device'
  | 'unknown_organization'
  | 'wrong_organization'
  | 'no_expression'
  | 'expression'
  | 'not_publishable'
  | 'refused'
  | 'overloaded'
  | 'internal'

/** The envelope is retried or becomes a dead letter. The reason names the device and the remedy. */
export interface Failure {
  readonly kind: 'retry' | 'dead_letter'
  readonly cause: FailureCause
  readonly reason: string
  /** The organization that the envelope names; absent if it is unknown. */
  readonly organizationId?: string
}

/** The device or its organization may be about to exist: the envelope waits, and then becomes a dead letter. */
export interface Unknown extends Omit<Failure, 'kind'> {
  readonly kind: 'unknown'
  readonly organizationId: string
}

export interface ProcessedOutcome {
  readonly kind: 'processed'
  /** One per reading. */
  readonly envelopes: readonly ProcessedEnvelope[]
  /** Whether the codec returned a list of readings. */
  readonly isList: boolean
  readonly processedAt: Instant
  /** The size of the data, which the evaluation pool counts until it is released. */
  readonly dataBytes: number
}

export type RawOutcome =
  | ProcessedOutcome
  /** The organization's share of the evaluation is full: the envelope is evaluated later. */
  | { readonly kind: 'deferred' }
  | Unknown
  | Failure

export interface RawEnvelopeProcessorParts {
  lookUp(deviceId: string, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup>
  evaluate(task: Task): Promise<TaskResult>
  /** Releases the data of an evaluation that is not processed further. */
  release(dataBytes: number): void
  now(): Instant
  /** Called once per device without an expression. */
  onDeviceWithoutExpression(deviceId: string): void
}

type KnownLookup = Extract<DeviceLookup, { kind: 'known' }>
type UnknownDevice = Exclude<DeviceLookup, { kind: 'known' }>

const MAX_TRACKED_DEVICES = 10_000
const DEFERRED: RawOutcome = { kind: 'deferred' }

/** Converts raw envelopes to processed envelopes, independently of the broker. */
export class RawEnvelopeProcessor {
  readonly #parts: RawEnvelopeProcessorParts
  readonly #withoutExpression = new Set<string>()

  constructor(parts: RawEnvelopeProcessorParts) {
    this.#parts = parts
  }

  /** Processes an envelope. Rejects if the signal aborts, and for errors unrelated to the envelope. */
  async process(raw: RawEnvelope, signal: AbortSignal): Promise<RawOutcome> {
    const { endDeviceId: id, organizationId, payload } = raw
    const found = this.#parts.lookUp(id, signal)
    const device = found instanceof Promise ? await found : found
    if (device.kind !== 'known') return unknown(raw, device)
    if (device.organizationId !== organizationId) {
      const reason = `device ${id} belongs to organization ${device.organizationId}, but the envelope names ${organizationId}; check the topic it was published on`
      return { kind: 'dead_letter', cause: 'wrong_organization', reason }
    }
    if (device.codec === null) return this.#noExpression(id)
    this.#withoutExpression.delete(id)
    const result = await this.#parts.evaluate({ organizationId, codec: device.codec, payload, context: raw })
    if (!result.ok) return 'deferred' in result ? DEFERRED : evaluationFailure(id, device, result.reason)
    return this.#processed(raw, device, result)
  }

  #processed(
    raw: RawEnvelope,
    device: KnownLookup,
    { data, size, warnings }: Extract<Evaluation, { ok: true }>,
  ): RawOutcome {
    const { endDeviceId, organizationId, receivedAt, uplink } = raw
    const result = readingsOf(data, receivedAt)
    if (!result.ok) {
      this.#parts.release(size)
      return evaluationFailure(endDeviceId, device, result.reason)
    }
    const processedAt = this.#parts.now()
    const kept = boundedWarnings(warnings)
    // Spreading objects here would cost more than encoding the envelopes.
    const envelopes = result.readings.map(({ occurredAt, data: reading }) => ({
      organizationId,
      endDeviceId,
      occurredAt,
      receivedAt: occurredAt === receivedAt ? undefined : receivedAt,
      data: reading,
      processedAt,
      warnings: kept,
      uplink,
    }))
    return { kind: 'processed', envelopes, isList: isJsonList(data), processedAt, dataBytes: size }
  }

  #noExpression(id: string): Failure {
    if (!this.#withoutExpression.has(id)) {
      if (this.#withoutExpression.size >= MAX_TRACKED_DEVICES) this.#withoutExpression.clear()
      this.#withoutExpression.add(id)
      this.#parts.onDeviceWithoutExpression(id)
    }
    const reason = `device ${id} has no payload conversion and no profile; set one (UpdateEndDevice) and replay`
    return { kind: 'dead_letter', cause: 'no_expression', reason }
  }
}

function unknown({ endDeviceId, organizationId }: RawEnvelope, device: UnknownDevice): Unknown {
  const reason =
    device.kind === 'unknown_device'
      ? `device ${endDeviceId} does not exist; create it and replay`
      : `organization ${device.organizationId} of device ${endDeviceId} does not exist or is deleted`
  return { kind: 'unknown', cause: device.kind, reason, organizationId }
}

function evaluationFailure(id: string, { profile }: KnownLookup, reason: string): Failure {
  const by = profile === undefined ? '' : ` by profile ${profile.id} (${profile.name})`
  return { kind: 'dead_letter', cause: 'expression', reason: `payload conversion of device ${id}${by}: ${reason}` }
}
