import { addAbortSignal } from 'node:stream'
import { ClickHouseError, type ClickHouseSettings } from '@clickhouse/client'
import { DomainError } from '../domain/errors.ts'
import type { CallOptions, TelemetryReader } from '../domain/ports.ts'
import type { TelemetryQuery, TelemetryRange } from '../domain/telemetry.ts'
import type { ClickHouse } from './connection.ts'
import { envelopeQuery, storedEnvelope } from './envelope-query.ts'
import { blameFor } from './refusal.ts'

/** Reads under way at most; more are refused, since each holds memory and waits for one of a few connections. */
const MAX_READS = 256

const SETTINGS: ClickHouseSettings = {
  readonly: '2',
  cancel_http_readonly_queries_on_client_close: 1,
  // Beyond this an organization's envelopes are sorted on the disk.
  max_bytes_before_external_sort: String(256 << 20),
  // Sorted already, the envelopes of one device come as they are read, and no further than they are wanted.
  optimize_read_in_order: 1,
}

/** Reads the table behind the view `processed_envelopes`, which has the identity that the view leaves out. */
export function createEnvelopeReader(clickhouse: ClickHouse): TelemetryReader {
  let reads = 0
  return {
    async *read(query, range, options) {
      if (reads >= MAX_READS) throw unavailable('Too many queries at once; try again')
      reads += 1
      try {
        for await (const batch of lines(clickhouse, query, range, options)) {
          yield batch.map((line) => storedEnvelope(query, line))
        }
      } finally {
        reads -= 1
      }
    },
  }
}

/** The rows of the answer, each a line of text. */
async function* lines(
  { client }: ClickHouse,
  query: TelemetryQuery,
  range: TelemetryRange,
  options?: CallOptions,
): AsyncGenerator<readonly string[], void, undefined> {
  const { signal: asked } = options ?? {}
  // The client hears of an abort only if it comes while a request is under way.
  asked?.throwIfAborted()
  const timeout = range.timeoutMs === null ? undefined : AbortSignal.timeout(range.timeoutMs)
  const signal = AbortSignal.any([asked, timeout].filter((one) => one !== undefined))
  try {
    const { text, parameters } = envelopeQuery(query, range)
    const result = await client.query({
      query: text,
      query_params: parameters,
      format: 'JSONCompactEachRow',
      clickhouse_settings: SETTINGS,
      abort_signal: signal,
    })
    const stream = addAbortSignal(signal, result.stream())
    for await (const batch of stream) yield batch.map(({ text: line }) => line)
  } catch (error) {
    if (asked?.aborted === true) throw asked.reason
    throw translated(error, timeout?.aborted === true)
  }
}

/** A ClickHouse that does not serve becomes `unavailable`, with its words as the cause only. Others pass unchanged. */
function translated(error: unknown, timedOut: boolean): unknown {
  if (timedOut || isTimeout(error)) {
    return unavailable('The query took too long; ask for a shorter time range', error)
  }
  return blameFor(error) === 'server' ? unavailable('The telemetry store is not available; try again', error) : error
}

function unavailable(message: string, cause?: unknown): DomainError {
  return new DomainError('unavailable', message, { cause })
}

/** The server's own limit of time, or the client's for a server that is silent. */
function isTimeout(error: unknown): boolean {
  if (error instanceof ClickHouseError) return error.type === 'TIMEOUT_EXCEEDED'
  return error instanceof Error && error.message === 'Timeout error.'
}
