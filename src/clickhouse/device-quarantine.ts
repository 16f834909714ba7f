import type { ProcessedEnvelope } from '../domain/entities.ts'
import { evictOldest } from '../domain/fifo.ts'

const QUARANTINE_MS = 10 * 60_000
/** Beyond it, the device whose last refusal is the oldest is released. */
const MAX_DEVICES = 10_000

/** Devices of which ClickHouse refused a row within the last ten minutes. */
export class DeviceQuarantine {
  /** The end of each quarantine, in the order of the ends. */
  readonly #ends = new Map<string, number>()
  readonly #now: () => number

  /** `now` returns milliseconds of a monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  has(envelope: ProcessedEnvelope): boolean {
    if (this.#ends.size === 0) return false
    const device = deviceKey(envelope)
    const end = this.#ends.get(device)
    if (end === undefined || end > this.#now()) return end !== undefined
    this.#ends.delete(device)
    return false
  }

  /** Begins the quarantine of the envelope's device again. */
  add(envelope: ProcessedEnvelope): void {
    const device = deviceKey(envelope)
    this.#ends.delete(device)
    this.#ends.set(device, this.#now() + QUARANTINE_MS)
    evictOldest(this.#ends, MAX_DEVICES)
  }
}

/** Returns a key that is unique for each device; ids contain no line break. */
export function deviceKey({ organizationId, endDeviceId }: ProcessedEnvelope): string {
  return `${organizationId}\n${endDeviceId}`
}
