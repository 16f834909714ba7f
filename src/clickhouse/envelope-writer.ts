import { ByteBudget } from '../domain/byte-budget.ts'
import { messageOf, ClickHouseUnavailable } from '../domain/errors.ts'
import type { ClickHouse } from './connection.ts'
import { deviceKey, DeviceQuarantine } from './device-quarantine.ts'
import { insertTexts, missingRows, type RowText } from './envelope-insert.ts'
import { toRowText, type EnvelopeRow } from './envelope-text.ts'
import { inMonths, MAX_MONTHS, monthOf } from './partitions.ts'
import { classifyInsertError, rejectionReason, type InsertErrorClass } from './insert-error.ts'

export type RowOutcome =
  | { readonly kind: 'stored' }
  /** ClickHouse will never accept this row; the reason is suitable for a dead letter. */
  | { readonly kind: 'rejected'; readonly reason: string }
  /** The row was in inserts that failed for other rows, and the inserts of this batch are used up. */
  | { readonly kind: 'later'; readonly reason: string }

export interface ProcessedEnvelopeWriter {
  /**
   * Stores the rows durably, with one insert unless they are large or of many months, and returns an outcome per row. Rows written again, in the same
   * batch or another, appear once. Throws {@link ClickHouseUnavailable} when ClickHouse does not accept inserts, and the signal's
   * reason when it aborts; retrying the same rows is safe in both cases.
   */
  write(rows: readonly EnvelopeRow[], signal: AbortSignal): Promise<readonly RowOutcome[]>
}

/** Writes to the table behind the view `processed_envelopes`. The rows of devices in quarantine are inserted separately. */
export function createEnvelopeWriter(clickhouse: ClickHouse): ProcessedEnvelopeWriter {
  const quarantine = new DeviceQuarantine()
  return {
    write: (rows, signal) => new Batch(clickhouse, quarantine, rows, signal).store(),
  }
}

interface InsertFailure {
  readonly error: unknown
  readonly errorClass: InsertErrorClass
}

const STORED: RowOutcome = { kind: 'stored' }
/** The limits of one insert, whose text is in memory as strings and as bytes; a larger batch is several inserts. */
const INSERT_LIMITS = { items: 100_000, bytes: 16 * 1024 * 1024 }

/** The number of single rows that fail with an unknown error, without any stored row, from which on the server is the cause. */
const MAX_UNKNOWN_FAILURES = 16
/** The number of devices in a batch of which one refused row is inserted alone, for ClickHouse's reason. */
const MAX_REASONS = 16
const NO_REASON = 'ClickHouse cannot read the row; rows of other devices in its batch have been refused as well'
/** The number of inserts of a batch that isolate rows which fail for a reason that names no row. */
const MAX_ISOLATIONS = 64

class Batch {
  readonly #clickhouse: ClickHouse
  readonly #quarantine: DeviceQuarantine
  readonly #rows: readonly EnvelopeRow[]
  readonly #signal: AbortSignal
  readonly #outcomes: RowOutcome[] = []
  /** The reason of a refused row of each device. */
  readonly #reasons = new Map<string, string>()
  #stored = 0
  #unknownFailures = 0
  #isolations = 0

  constructor(clickhouse: ClickHouse, quarantine: DeviceQuarantine, rows: readonly EnvelopeRow[], signal: AbortSignal) {
    this.#clickhouse = clickhouse
    this.#quarantine = quarantine
    this.#rows = rows
    this.#signal = signal
  }

  async store(): Promise<readonly RowOutcome[]> {
    const inQuarantine = new Set(this.#rows.filter(({ envelope }) => this.#quarantine.has(envelope)))
    for (const texts of this.#inserts((row) => !inQuarantine.has(row))) await this.#insert(texts)
    if (inQuarantine.size === 0) return this.#outcomes
    for (const texts of this.#inserts((row) => inQuarantine.has(row))) await this.#insertReadable(texts)
    return this.#outcomes
  }

  /** Renders the selected rows, an insert at a time. Rejects those that the table cannot store. */
  *#inserts(selects: (row: EnvelopeRow) => boolean): Generator<readonly RowText[], void, undefined> {
    const budget = new ByteBudget(INSERT_LIMITS)
    const months = new Set<number>()
    let texts: RowText[] = []
    for (const [index, row] of inMonths(this.#rows)) {
      const text = selects(row) ? this.#render(index, row) : undefined
      if (text === undefined) continue
      const bytes = Buffer.byteLength(text)
      const month = monthOf(row)
      if (!budget.fits(bytes) || (months.size >= MAX_MONTHS && !months.has(month))) {
        yield texts
        texts = []
        budget.clear()
        months.clear()
      }
      budget.add(bytes)
      months.add(month)
      texts.push({ index, row, text })
    }
    if (texts.length > 0) yield texts
  }

  #render(index: number, row: EnvelopeRow): string | undefined {
    try {
      return toRowText(row)
    } catch (error) {
      this.#outcomes[index] = { kind: 'rejected', reason: messageOf(error) }
      return undefined
    }
  }

  async #insert(texts: readonly RowText[]): Promise<void> {
    if ((await this.#attempt(texts)) !== undefined) await this.#insertReadable(texts)
  }

  /** Inserts the rows that ClickHouse can read; the rows that are missing afterwards are refused. */
  async #insertReadable(texts: readonly RowText[]): Promise<void> {
    const failure = await this.#attempt(texts, true)
    if (failure !== undefined) return this.#isolate(texts, failure)
    const missing = await this.#missing(texts)
    const refused = new Set(missing)
    this.#markStored(texts.filter((text) => !refused.has(text)))
    for (const text of missing) await this.#insertRefused(text)
  }

  /** Rejects a row with the reason for which ClickHouse refused it, or a row of its device, when it was inserted alone. */
  async #insertRefused(text: RowText): Promise<void> {
    const known = this.#reasons.get(deviceKey(text.row.envelope))
    if (known !== undefined || this.#reasons.size >= MAX_REASONS) return this.#reject(text, known ?? NO_REASON)
    const failure = await this.#attempt([text])
    if (failure !== undefined) this.#reject(text, rejectionReason(failure.error))
  }

  /** Finds the rows that fail by bisection, with a bounded number of inserts. */
  async #isolate(texts: readonly RowText[], failure: InsertFailure): Promise<void> {
    const [only, ...others] = texts
    if (only !== undefined && others.length === 0) return this.#onIsolated(only, failure)
    const half = texts.length >> 1
    for (const part of [texts.slice(0, half), texts.slice(half)]) {
      this.#isolations += 1
      if (this.#isolations > MAX_ISOLATIONS) this.#postpone(part, failure)
      else {
        const next = await this.#attempt(part)
        if (next !== undefined) await this.#isolate(part, next)
      }
    }
  }

  #onIsolated(text: RowText, { error, errorClass }: InsertFailure): void {
    const { length } = this.#rows
    // A batch of one row cannot show whether the server is the cause: the row is rejected so that the flow continues.
    if (errorClass !== 'rows' && this.#stored === 0 && length > 1) {
      this.#unknownFailures += 1
      if (this.#unknownFailures >= Math.min(MAX_UNKNOWN_FAILURES, length)) {
        throw errorClass === 'internal' ? error : this.#unavailable(error)
      }
    }
    this.#reject(text, rejectionReason(error))
  }

  #postpone(texts: readonly RowText[], { error }: InsertFailure): void {
    const reason = `not isolated from rows that fail: ${rejectionReason(error)}`
    for (const { index } of texts) this.#outcomes[index] = { kind: 'later', reason }
  }

  #markStored(texts: readonly RowText[]): void {
    this.#stored += texts.length
    for (const { index } of texts) this.#outcomes[index] = STORED
  }

  #reject({ index, row: { envelope } }: RowText, reason: string): void {
    this.#quarantine.add(envelope)
    this.#reasons.set(deviceKey(envelope), reason)
    this.#outcomes[index] = { kind: 'rejected', reason }
  }

  /** Returns undefined if the rows are stored, or with `skipUnreadable` those that ClickHouse can read. */
  async #attempt(texts: readonly RowText[], skipUnreadable = false): Promise<InsertFailure | undefined> {
    try {
      await insertTexts(this.#clickhouse.client, texts, skipUnreadable, this.#signal)
    } catch (error) {
      const errorClass = this.#classify(error)
      return { error, errorClass }
    }
    if (!skipUnreadable) this.#markStored(texts)
    return undefined
  }

  async #missing(texts: readonly RowText[]): Promise<readonly RowText[]> {
    try {
      return await missingRows(this.#clickhouse.client, texts, this.#signal)
    } catch (error) {
      if (this.#classify(error) === 'internal') throw error
      throw this.#unavailable(error)
    }
  }

  /** Classifies an error of a request; throws if ClickHouse is not available or the signal has aborted. */
  #classify(error: unknown): InsertErrorClass {
    if (this.#signal.aborted) throw this.#signal.reason
    const errorClass = classifyInsertError(error)
    if (errorClass === 'server') throw this.#unavailable(error)
    return errorClass
  }

  #unavailable(error: unknown): ClickHouseUnavailable {
    const message = `ClickHouse at ${this.#clickhouse.address} does not accept rows: ${messageOf(error)}`
    return new ClickHouseUnavailable(message, { cause: error })
  }
}
