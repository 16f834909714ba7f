/** What is known of devices: whose expression has proven to be quick, and whose is slow or was stopped. */
export class DeviceRecords {
  readonly #records = new Map<string, DeviceRecord>()
  /** The expressions of those that have proven to be quick. */
  readonly #quick = new Map<string, string>()
  readonly #limits: {
    readonly slowMs: number
    readonly timeLimitMs: number
    readonly strikesToRest: number
    readonly restMs: number
    readonly probationMs: number
  }

  constructor(limits: {
    readonly slowMs: number
    readonly timeLimitMs: number
    readonly strikesToRest: number
    readonly restMs: number
    readonly probationMs: number
  }) {
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

  /** Whether the last evaluation of the device's expression is known to have been quick. */
  isProven({ key, source }: Device): boolean {
    return this.#quick.get(key) === source
  }

  /** An evaluation came to its end; `slowMs` is its duration if it was slow. A quick one clears the device, but on probation. */
  noteDuration(device: Device, slowMs: number | undefined, now: number): void {
    const record = this.#find(device)
    const clearsAt = record?.clearsAt ?? 0
    if (slowMs !== undefined) {
      // It may have been the machine: once is not enough to say how long it takes.
      const expectedMs = record === undefined ? this.#limits.slowMs : slowMs
      this.#set(device, { expectedMs, strikes: 0, restsUntil: 0, clearsAt })
    } else if (clearsAt > now)
      this.#set(device, { expectedMs: this.#limits.slowMs, strikes: 0, restsUntil: 0, clearsAt })
    else {
      if (record !== undefined) this.#records.delete(device.key)
      if (!this.isProven(device)) this.#prove(device)
    }
  }

  /** A worker was lost while it ran the device's expression. */
  suspect(device: Device): void {
    const { timeLimitMs: expectedMs } = this.#limits
    this.#set(device, { strikes: 0, restsUntil: 0, clearsAt: 0, ...this.#find(device), expectedMs })
  }

  /** The expression was stopped for good on one payload. After enough of these in a row it rests. */
  strike(device: Device, now: number): void {
    const { timeLimitMs, strikesToRest, restMs, probationMs } = this.#limits
    const strikes = (this.#find(device)?.strikes ?? 0) + 1
    // After the rest one more strike is enough for the next one.
    const restsUntil = strikes >= strikesToRest ? now + restMs : 0
    this.#set(device, {
      expectedMs: timeLimitMs,
      strikes,
      restsUntil,
      clearsAt: Math.max(now, restsUntil) + probationMs,
    })
  }

  #prove({ key, source }: Device): void {
    this.#quick.delete(key)
    this.#quick.set(key, source)
    forgetOldest(this.#quick, MAX_PROVEN)
  }

  #find(device: Device): DeviceRecord | undefined {
    const record = this.#records.get(device.key)
    return record?.source === device.source ? record : undefined
  }

  #set(device: Device, record: Omit<DeviceRecord, 'source'>): void {
    this.#quick.delete(device.key)
    this.#records.delete(device.key)
    this.#records.set(device.key, { ...record, source: device.source })
    forgetOldest(this.#records, MAX_RECORDS)
  }
}

function forgetOldest(map: Map<string, unknown>, mostEntries: number): void {
  if (map.size <= mostEntries) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

const MAX_RECORDS = 10_000
const MAX_PROVEN = 20_000

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
  /** Until when it is on probation. */
  readonly clearsAt: number
}
