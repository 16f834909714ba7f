import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { ByteBudget } from '../domain/byte-budget.ts'
import { messageOf, ClickHouseUnavailable } from '../domain/errors.ts'
import type { ClickHouse } from './connection.ts'
import { toRowText, type EnvelopeRow } from './envelope-text.ts'
import { classifyInsertError, rejectionReason, type InsertErrorClass } from './insert-error.ts'

export type RowOutcome =
  | { readonly kind: 'stored' }
  /** ClickHouse will never accept this row; the reason is suitable for a dead letter. */
  | { readonly kind: 'rejected'; readonly reason: string }

export interface ProcessedEnvelopeWriter {
  /**
   * Stores the rows durably, with one insert unless they are large, and returns an outcome per row. Rows written again, in the same batch or another,
   * appear once. Throws {@link ClickHouseUnavailable} when ClickHouse does not accept inserts, and the signal's reason when it
   * aborts; retrying the same rows is safe in both cases.
   */
  write(rows: readonly EnvelopeRow[], signal: AbortSignal): Promise<readonly RowOutcome[]>
}

/** Writes to the table behind the view `processed_envelopes`. */
export function createEnvelopeWriter(clickhouse: ClickHouse): ProcessedEnvelopeWriter {
  return {
    write: (rows, signal) => new Batch(clickhouse, rows, signal).store(),
  }
}

interface RowText {
  readonly index: number
  readonly text: string
}

const STORED: RowOutcome = { kind: 'stored' }
const INSERT = 'INSERT INTO processed_envelope_rows FORMAT JSONEachRow'
const SETTINGS: ClickHouseSettings = {
  async_insert: 0,
  insert_deduplicate: 1,
  // Strings that look like dates or numbers stay strings.
  input_format_try_infer_dates: 0,
  input_format_try_infer_datetimes: 0,
  input_format_json_try_infer_numbers_from_strings: 0,
}

/** The limits of one insert, whose text is in memory as strings and as bytes; a larger batch is several inserts. */
const INSERT_LIMITS = { items: 100_000, bytes: 16 * 1024 * 1024 }
/** The text of small rows is encoded in chunks of this many characters, because a write costs more than a row. */
const CHUNK_LENGTH = 64 * 1024

/** The number of single rows that fail with an unknown error, without any stored row, from which on the server is the cause. */
const MAX_UNKNOWN_FAILURES = 16

class Batch {
  readonly #clickhouse: ClickHouse
  readonly #rows: readonly EnvelopeRow[]
  readonly #signal: AbortSignal
  readonly #outcomes: RowOutcome[] = []
  #stored = 0
  #unknownFailures = 0

  constructor(clickhouse: ClickHouse, rows: readonly EnvelopeRow[], signal: AbortSignal) {
    this.#clickhouse = clickhouse
    this.#rows = rows
    this.#signal = signal
  }

  async store(): Promise<readonly RowOutcome[]> {
    for (const texts of this.#inserts()) await this.#insert(texts)
    return this.#outcomes
  }

  /** Renders the rows, an insert at a time. Rejects those that the table cannot store. */
  *#inserts(): Generator<readonly RowText[], void, undefined> {
    const budget = new ByteBudget(INSERT_LIMITS)
    let texts: RowText[] = []
    for (const [index, row] of this.#rows.entries()) {
      const text = this.#render(index, row)
      if (text === undefined) continue
      const bytes = Buffer.byteLength(text)
      if (!budget.fits(bytes)) {
        yield texts
        texts = []
        budget.clear()
      }
      budget.add(bytes)
      texts.push({ index, text })
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

  /** Inserts the rows; finds rejected rows by bisection. */
  async #insert(texts: readonly RowText[]): Promise<void> {
    try {
      await insertTexts(this.#clickhouse.client, texts, this.#signal)
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason
      const errorClass = classifyInsertError(error)
      if (errorClass === 'server') throw this.#unavailable(error)
      const [only, ...others] = texts
      if (only !== undefined && others.length === 0) return this.#reject(only.index, error, errorClass)
      const half = texts.length >> 1
      await this.#insert(texts.slice(0, half))
      return this.#insert(texts.slice(half))
    }
    this.#stored += texts.length
    for (const { index } of texts) this.#outcomes[index] = STORED
  }

  #reject(index: number, error: unknown, errorClass: InsertErrorClass): void {
    const { length } = this.#rows
    // A batch of one row cannot show whether the server is the cause: the row is rejected so that the flow continues.
    if (errorClass !== 'rows' && this.#stored === 0 && length > 1) {
      this.#unknownFailures += 1
      if (this.#unknownFailures >= Math.min(MAX_UNKNOWN_FAILURES, length)) {
        throw errorClass === 'internal' ? error : this.#unavailable(error)
      }
    }
    this.#outcomes[index] = { kind: 'rejected', reason: rejectionReason(error) }
  }

  #unavailable(error: unknown): ClickHouseUnavailable {
    const message = `ClickHouse at ${this.#clickhouse.address} does not accept rows: ${messageOf(error)}`
    return new ClickHouseUnavailable(message, { cause: error })
  }
}

/** Resolves when the rows are durable. The token, a hash of the text, lets ClickHouse drop a retry of the same insert. */
async function insertTexts(client: ClickHouseClient, texts: readonly RowText[], signal: AbortSignal): Promise<void> {
  // The client observes the signal only while a request is in flight.
  signal.throwIfAborted()
  const chunks = [...chunksOf(texts)]
  const token = createHash('sha256')
  for (const chunk of chunks) token.update(chunk)
  const { stream } = await client.exec({
    query: INSERT,
    values: Readable.from(chunks, { objectMode: false }),
    clickhouse_settings: { ...SETTINGS, insert_deduplication_token: token.digest('hex') },
    abort_signal: signal,
  })
  stream.resume()
  await once(stream, 'end')
}

function* chunksOf(texts: readonly RowText[]): Generator<Buffer, void, undefined> {
  let pending = ''
  for (const { text } of texts) {
    pending += text
    if (pending.length < CHUNK_LENGTH) continue
    yield Buffer.from(pending)
    pending = ''
  }
  if (pending !== '') yield Buffer.from(pending)
}
