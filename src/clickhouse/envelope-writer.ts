import type { ProcessedEnvelope } from '../domain/envelope.ts'

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
   * batch or in another, do not show twice. Throws {@link ClickHouseUnavailable} when ClickHouse does not take inserts now.
   */
  write(rows: readonly EnvelopeRow[], signal: AbortSignal): Promise<readonly RowOutcome[]>
}
