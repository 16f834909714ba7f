import type { Instant } from '../domain/instant.ts'
import type { ClickHouse } from './connection.ts'
import { runDeletion } from './envelope-deleter.ts'

/** The rows of these organizations before a time. */
export interface ExpiredSelection {
  readonly organizationIds: readonly string[]
  readonly before: Instant
}

const EXPIRED = `organization_id IN {organizations:Array(String)} AND occurred_at < fromUnixTimestamp64Micro({before:Int64}, 'UTC')`

/** Deletes rows whose retention has ended. */
export class ExpiredRows {
  readonly #clickhouse: ClickHouse

  constructor(clickhouse: ClickHouse) {
    this.#clickhouse = clickhouse
  }

  /**
   * Deletes the rows month by month, oldest first, and yields the number of rows of each month when no reader finds them any more. A
   * deletion rewrites the parts of its month only; there is none without expired rows. Concurrent deletions of the same rows are
   * harmless, and each counts them. Rejects if ClickHouse does not answer or cannot delete, and when the signal aborts.
   */
  async *delete(selection: ExpiredSelection, signal: AbortSignal): AsyncGenerator<number> {
    const parameters = { organizations: selection.organizationIds, before: selection.before.toString() }
    for (const { month, items } of await this.#months(parameters, signal)) {
      await runDeletion(this.#clickhouse, EXPIRED, parameters, { month, signal })
      yield Number(items)
    }
  }

  async #months(parameters: Readonly<Record<string, unknown>>, signal: AbortSignal) {
    const result = await this.#clickhouse.client.query({
      query: `SELECT toYYYYMM(occurred_at) AS month, count() AS items FROM processed_envelope_rows
        WHERE ${EXPIRED} GROUP BY month ORDER BY month`,
      query_params: parameters,
      format: 'JSONEachRow',
      abort_signal: signal,
    })
    return await result.json<{ month: number; items: string }>()
  }
}
