import type { TaskResult, Task } from '../../src/cel/evaluation-scheduler.ts'
import type { ProcessedEnvelope, RawEnvelope } from '../../src/domain/entities.ts'
import type { Instant } from '../../src/domain/instant.ts'
import type { DeviceLookup } from './device-directory.ts'

/** Why an envelope did not go on; the label of a metric. */
export type FailureCause =
  | 'undecodable'
  | 'unknown_device'
  | 'unknown_organization'
  | 'wrong_organization'
  | 'no_expression'
  | 'expression'
  | 'overloaded'
  | 'not_publishable'
  | 'refused'
  | 'internal'

/** The envelope stays: it comes again, or goes to the dead letters. The reason names the device and says what to do. */
export interface Failure {
  readonly kind: 'retry' | 'dead_letter'
  readonly cause: FailureCause
  readonly reason: string
}

export type RawOutcome = { readonly kind: 'processed'; readonly envelope: ProcessedEnvelope } | Failure

export interface RawEnvelopeProcessorParts {
  lookUp(deviceId: string, signal: AbortSignal): DeviceLookup | Promise<DeviceLookup>
  evaluate(task: Task): Promise<TaskResult>
  now(): Instant
  /** Told once of each device without an expression. */
  onDeviceWithoutExpression(deviceId: string): void
}

/**
 * So often a message comes that cannot be processed yet, with pauses that double from a second: a little more than a minute
 * from the first to the last attempt.
 */
export const PATIENCE_ATTEMPTS = 7
/** A device that has been unknown for so long is not about to exist. */
const PATIENCE_MS = 60_000
const MAX_REMEMBERED = 10_000

/** What becomes of a raw envelope. Knows nothing of the broker that brought it. */
export class RawEnvelopeProcessor {
  readonly #parts: RawEnvelopeProcessorParts
  readonly #unknown = new UnknownDevices({ patienceMs: PATIENCE_MS, maxRemembered: MAX_REMEMBERED })
  readonly #withoutExpression = new Set<string>()

  constructor(parts: RawEnvelopeProcessorParts) {
    this.#parts = parts
  }

  /** `attempt` counts from 1. Rejects when the signal aborts or something is broken that has nothing to do with the envelope. */
  async process(raw: RawEnvelope, attempt: number, signal: AbortSignal): Promise<RawOutcome> {
    const { endDeviceId: id } = raw
    const found = this.#parts.lookUp(id, signal)
    const device = found instanceof Promise ? await found : found
    if (device.kind !== 'known') return this.#unknownOutcome(raw, device, attempt)
    this.#unknown.forget(id)
    if (device.organizationId !== raw.organizationId) {
      const reason = `device ${id} belongs to organization ${device.organizationId}, but the envelope says ${raw.organizationId}; check the topic it was published on`
      return { kind: 'dead_letter', cause: 'wrong_organization', reason }
    }
    if (device.expression === '') return this.#noExpression(id)
    this.#withoutExpression.delete(id)
    const answer = await this.#parts.evaluate({ key: id, source: device.expression, payload: raw.payload })
    return answer.ok ? { kind: 'processed', envelope: this.#envelope(raw, answer.data) } : failed(id, answer, attempt)
  }

  #envelope(raw: RawEnvelope, data: ProcessedEnvelope['data']): ProcessedEnvelope {
    const { organizationId, endDeviceId, receivedAt } = raw
    return { organizationId, endDeviceId, occurredAt: receivedAt, processedAt: this.#parts.now(), data }
  }

  #unknownOutcome(raw: RawEnvelope, device: Exclude<DeviceLookup, { kind: 'known' }>, attempt: number): Failure {
    const { endDeviceId: id } = raw
    const mayAppear = this.#unknown.mayAppear(id, Number(this.#parts.now() / 1000n)) && attempt < PATIENCE_ATTEMPTS
    const kind = mayAppear ? 'retry' : 'dead_letter'
    if (device.kind === 'unknown_device')
      return { kind, cause: device.kind, reason: `device ${id} does not exist; create it and replay` }
    const { organizationId } = device
    const reason = `organization ${organizationId} of device ${id} does not exist or is deleted`
    return { kind, cause: device.kind, reason }
  }

  #noExpression(id: string): Failure {
    if (!this.#withoutExpression.has(id)) {
      if (this.#withoutExpression.size >= MAX_REMEMBERED) this.#withoutExpression.clear()
      this.#withoutExpression.add(id)
      this.#parts.onDeviceWithoutExpression(id)
    }
    const reason = `device ${id} has no payload conversion; set one (UpdateEndDevice) and replay`
    return { kind: 'dead_letter', cause: 'no_expression', reason }
  }
}

function failed(id: string, answer: Exclude<TaskResult, { ok: true }>, attempt: number): Failure {
  const reason = `payload conversion of device ${id}: ${answer.reason}`
  if (!('overloaded' in answer)) return { kind: 'dead_letter', cause: 'expression', reason }
  return { kind: attempt < PATIENCE_ATTEMPTS ? 'retry' : 'dead_letter', cause: 'overloaded', reason }
}

export interface UnknownDevicesOptions {
  readonly patienceMs: number
  readonly maxRemembered: number
}

/**
 * Since when which device is unknown. An unknown device may be about to exist, so its messages are tried again; but one that
 * has been unknown for long must not fill the broker with messages that wait for their next try.
 */
class UnknownDevices {
  readonly #since = new Map<string, number>()
  readonly #options: UnknownDevicesOptions

  constructor(options: UnknownDevicesOptions) {
    this.#options = options
  }

  /** Notes that the device is unknown at `now` (milliseconds) and says whether it may still appear. */
  mayAppear(deviceId: string, now: number): boolean {
    const since = this.#since.get(deviceId)
    if (since !== undefined) return now - since < this.#options.patienceMs
    if (this.#since.size >= this.#options.maxRemembered) {
      const [oldest] = this.#since.keys()
      if (oldest !== undefined) this.#since.delete(oldest)
    }
    this.#since.set(deviceId, now)
    return true
  }

  /** The device exists. */
  forget(deviceId: string): void {
    this.#since.delete(deviceId)
  }
}
