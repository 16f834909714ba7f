export interface UnknownDevicesOptions {
  readonly patienceMs: number
  readonly maxRemembered: number
}

/**
 * Since when which device is unknown. An unknown device may be about to exist, so its messages are tried again; but one that
 * has been unknown for long must not fill the broker with messages that wait for their next try.
 */
export class UnknownDevices {
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
