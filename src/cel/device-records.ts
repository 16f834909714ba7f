import { evictOldest } from '../domain/fifo.ts'

export type DeviceLimits = Readonly<
  Record<'slowMs' | 'timeLimitMs' | 'failuresToQuarantine' | 'quarantineMs' | 'probationMs', number>
>

interface Device {
  readonly key: string
  readonly source: string
}

interface DeviceRecord {
  /** The expression of the record; a changed expression starts without a record. */
  readonly source: string
  readonly expectedMs: number
  readonly failures: number
  readonly quarantinedUntil: number
  readonly probationUntil: number
}

const MAX_RECORDS = 10_000
const MAX_QUICK = 20_000

/** The evaluation history of each device: whether its expression is quick, slow or has failed. */
export class DeviceRecords {
  /** Devices that are slow, failed or on probation. */
  readonly #records = new Map<string, DeviceRecord>()
  /** The expression of each device whose last evaluation was quick. */
  readonly #quick = new Map<string, string>()
  readonly #limits: DeviceLimits

  constructor(limits: DeviceLimits) {
    this.#limits = limits
  }

  /** Returns the end of the quarantine; undefined if the expression is allowed to run. */
  quarantinedUntil(device: Device, now: number): number | undefined {
    const record = this.#find(device)
    return record !== undefined && record.quarantinedUntil > now ? record.quarantinedUntil : undefined
  }

  /** Returns the expected duration of an evaluation; undefined for a device that is not slow. */
  expectedSlowMs(device: Device): number | undefined {
    return this.#find(device)?.expectedMs
  }

  isQuick({ key, source }: Device): boolean {
    return this.#quick.get(key) === source
  }

  /** Records a finished evaluation; `slowMs` is its duration if it was slow. */
  recordDuration(device: Device, slowMs: number | undefined, now: number): void {
    const record = this.#find(device)
    const probationUntil = record?.probationUntil ?? 0
    if (slowMs === undefined && probationUntil <= now) {
      if (record !== undefined) this.#records.delete(device.key)
      if (this.isQuick(device)) return
      this.#quick.delete(device.key)
      this.#quick.set(device.key, device.source)
      evictOldest(this.#quick, MAX_QUICK)
      return
    }
    // A single measurement is not trusted: the machine may have been stalled.
    const expectedMs = record === undefined ? this.#limits.slowMs : (slowMs ?? this.#limits.slowMs)
    this.#set(device, { expectedMs, failures: 0, quarantinedUntil: 0, probationUntil })
  }

  /** Records that a worker was lost while it evaluated the device's expression. */
  recordSuspicion(device: Device): void {
    const { timeLimitMs: expectedMs } = this.#limits
    this.#set(device, { failures: 0, quarantinedUntil: 0, probationUntil: 0, ...this.#find(device), expectedMs })
  }

  /** Records a failure on one payload. Enough consecutive failures quarantine the expression, and after a quarantine a single one. */
  recordFailure(device: Device, now: number): void {
    const { timeLimitMs, failuresToQuarantine, quarantineMs, probationMs } = this.#limits
    const failures = (this.#find(device)?.failures ?? 0) + 1
    const quarantinedUntil = failures >= failuresToQuarantine ? now + quarantineMs : 0
    const probationUntil = Math.max(now, quarantinedUntil) + probationMs
    this.#set(device, { expectedMs: timeLimitMs, failures, quarantinedUntil, probationUntil })
  }

  #find(device: Device): DeviceRecord | undefined {
    const record = this.#records.get(device.key)
    return record?.source === device.source ? record : undefined
  }

  #set(device: Device, record: Omit<DeviceRecord, 'source'>): void {
    this.#quick.delete(device.key)
    this.#records.delete(device.key)
    this.#records.set(device.key, { ...record, source: device.source })
    evictOldest(this.#records, MAX_RECORDS)
  }
}
