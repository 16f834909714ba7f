const INTERVAL_MS = 60_000
const MAX_DEVICES = 10_000

/** Limits the dead letters of unknown devices to one per device and minute. Beyond 10,000 devices, it forgets the oldest. */
export class UnknownDevices {
  readonly #nowMs: () => number
  /** The time of the last dead letter by device, the oldest first. */
  readonly #times = new Map<string, number>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Returns whether to store a dead letter of this device now. */
  admit(organizationId: string, externalId: string): boolean {
    const key = `${organizationId}\n${externalId}`
    const now = this.#nowMs()
    if (now - (this.#times.get(key) ?? -Infinity) < INTERVAL_MS) return false
    this.#times.delete(key)
    this.#times.set(key, now)
    for (const oldest of this.#times.keys()) {
      if (this.#times.size <= MAX_DEVICES) break
      this.#times.delete(oldest)
    }
    return true
  }
}
