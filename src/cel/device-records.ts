/** What is known of the devices whose expression is slow or was stopped; of all others nothing is kept. */
export class DeviceRecords {
  readonly #records = new Map<string, DeviceRecord>()
  readonly #limits: { readonly timeLimitMs: number; readonly strikesToRest: number; readonly restMs: number }

  constructor(limits: { readonly timeLimitMs: number; readonly strikesToRest: number; readonly restMs: number }) {
    this.#limits = limits
  }

  /** Until when the device's expression rests; undefined when it may run. */
  restsUntil(device: Device, now: number): number | undefined {
    const record = this.#find(device)
    return record !== undefined && record.restsUntil > now ? record.restsUntil : undefined
  }

  /** How long an evaluation takes; undefined for a device that is not slow. */
  expectedSlowMs(device: Device): number | undefined {
    return this.#find(device)?.expectedMs
  }

  /** An evaluation came to its end; `slowMs` is its duration if it was slow. A quick one clears the device. */
  noteDuration(device: Device, slowMs: number | undefined): void {
    const record = this.#find(device)
    if (slowMs !== undefined) this.#set(device, { expectedMs: slowMs, strikes: 0, restsUntil: 0 })
    else if (record !== undefined) this.#records.delete(device.key)
  }

  /** A worker was lost while it ran the device's expression. */
  suspect(device: Device): void {
    this.#set(device, { strikes: 0, restsUntil: 0, ...this.#find(device), expectedMs: this.#limits.timeLimitMs })
  }

  /** The expression was stopped for good on one payload. After enough of these in a row it rests. */
  strike(device: Device, now: number): void {
    const { timeLimitMs, strikesToRest, restMs } = this.#limits
    const strikes = (this.#find(device)?.strikes ?? 0) + 1
    // After the rest one more strike is enough for the next one.
    this.#set(device, { expectedMs: timeLimitMs, strikes, restsUntil: strikes >= strikesToRest ? now + restMs : 0 })
  }

  #find(device: Device): DeviceRecord | undefined {
    const record = this.#records.get(device.key)
    return record?.source === device.source ? record : undefined
  }

  #set(device: Device, record: Omit<DeviceRecord, 'source'>): void {
    this.#records.delete(device.key)
    this.#records.set(device.key, { ...record, source: device.source })
    if (this.#records.size <= MAX_RECORDS) return
    const [oldest] = this.#records.keys()
    if (oldest !== undefined) this.#records.delete(oldest)
  }
}

const MAX_RECORDS = 10_000

interface Device {
  readonly key: string
  readonly source: string
}

interface DeviceRecord {
  /** The expression that the record is about: another expression starts afresh. */
  readonly source: string
  readonly expectedMs: number
  readonly strikes: number
  readonly restsUntil: number
}
