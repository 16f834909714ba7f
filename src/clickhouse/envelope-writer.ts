import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import type { ProcessedEnvelope } from '../domain/entities.ts'
import { messageOf, ClickHouseUnavailable } from '../domain/errors.ts'
import type { ClickHouse } from './connection.ts'
import { toRowText } from './envelope-text.ts'
import { blameFor, reasonOf } from './insert-error.ts'

/** A processed envelope on its way to ClickHouse. */
export interface EnvelopeRow {
  readonly envelope: ProcessedEnvelope
  /**
   * Names the envelope for ever: the same on every redelivery and in every batch, different for every other envelope of the
   * device. The `Nats-Msg-Id` of its message in `processed_envelopes`, or `{stream}:{stream sequence}` when it has none.
   */
  readonly identity: string
}

/** What became of one row. */
export type RowOutcome =
  | { readonly kind: 'stored' }
  /** ClickHouse will never take this row; the reason is fit for a dead letter. */
  | { readonly kind: 'refused'; readonly reason: string }

export interface ProcessedEnvelopeWriter {
  /**
   * Stores the rows durably, one insert for all, and answers for each by its index. Rows that are written again, in the same
   * batch or in another, do not show twice. Throws {@link ClickHouseUnavailable} when ClickHouse does not take inserts now,
   * and the signal's reason when it aborts; in both cases the same rows may be written again.
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
  // What looks like a date stays a string.
  input_format_try_infer_dates: 0,
  input_format_try_infer_datetimes: 0,
  input_format_json_try_infer_numbers_from_strings: 0,
}

/** With so many rows refused, each alone and none stored, for a reason that names no row, it is not the rows. */
const UNEXPLAINED_REFUSALS = 16

class Batch {
  readonly #clickhouse: ClickHouse
  readonly #rows: readonly EnvelopeRow[]
  readonly #signal: AbortSignal
  readonly #outcomes: RowOutcome[] = []
  #stored = 0
  #unexplained = 0

  constructor(clickhouse: ClickHouse, rows: readonly EnvelopeRow[], signal: AbortSignal) {
    this.#clickhouse = clickhouse
    this.#rows = rows
    this.#signal = signal
  }

  async store(): Promise<readonly RowOutcome[]> {
    const texts: RowText[] = []
    for (const [index, row] of this.#rows.entries()) {
      try {
        texts.push({ index, text: toRowText(row) })
      } catch (error) {
        this.#outcomes[index] = { kind: 'refused', reason: messageOf(error) }
      }
    }
    if (texts.length > 0) await this.#insert(texts)
    return this.#outcomes
  }

  /** Inserts the rows; when ClickHouse refuses them, finds out by halves which it means. */
  async #insert(texts: readonly RowText[]): Promise<void> {
    try {
      await insertText(this.#clickhouse.client, texts.map(({ text }) => text).join(''), this.#signal)
    } catch (error) {
      const blame = this.#signal.aborted ? 'server' : blameFor(error)
      if (blame === 'server') throw this.#unavailable(error)
      if (texts.length === 1) return this.#refuse(texts, error, blame === 'unknown')
      const half = texts.length >> 1
      await this.#insert(texts.slice(0, half))
      return this.#insert(texts.slice(half))
    }
    this.#stored += texts.length
    for (const { index } of texts) this.#outcomes[index] = STORED
  }

  #refuse(texts: readonly RowText[], error: unknown, unexplained: boolean): void {
    if (unexplained && this.#stored === 0 && ++this.#unexplained >= Math.min(UNEXPLAINED_REFUSALS, this.#rows.length)) {
      // A single row cannot show whose fault it is: then the row gives way, not the flow.
      if (this.#rows.length > 1) throw this.#unavailable(error)
    }
    for (const { index } of texts) this.#outcomes[index] = { kind: 'refused', reason: reasonOf(error) }
  }

  #unavailable(error: unknown): unknown {
    if (this.#signal.aborted) return this.#signal.reason
    const message = `ClickHouse at ${this.#clickhouse.address} takes no rows now: ${messageOf(error)}`
    return new ClickHouseUnavailable(message, { cause: error })
  }
}

/** Resolves when the rows are durable. The token, made of the very text, lets ClickHouse drop a second try of the same. */
async function insertText(client: ClickHouseClient, text: string, signal: AbortSignal): Promise<void> {
  // The client hears of an abort only if it comes while a request is under way.
  signal.throwIfAborted()
  const body = Buffer.from(text)
  const token = createHash('sha256').update(body).digest('hex')
  const { stream } = await client.exec({
    query: INSERT,
    values: Readable.from([body], { objectMode: false }),
    clickhouse_settings: { ...SETTINGS, insert_deduplication_token: token },
    abort_signal: signal,
  })
  stream.resume()
  await once(stream, 'end')
}
