import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client'
import { ByteBudget } from '../domain/byte-budget.ts'
import { deviceKey } from './device-quarantine.ts'
import type { EnvelopeRow } from './envelope-text.ts'

/** A row with its line of JSONEachRow. */
export interface RowText {
  /** Its index in the batch. */
  readonly index: number
  readonly row: EnvelopeRow
  readonly text: string
}

const INSERT = 'INSERT INTO processed_envelope_rows FORMAT JSONEachRow'
const SETTINGS: ClickHouseSettings = {
  async_insert: 0,
  insert_deduplicate: 1,
  // Strings that look like dates or numbers stay strings.
  input_format_try_infer_dates: 0,
  input_format_try_infer_datetimes: 0,
  input_format_json_try_infer_numbers_from_strings: 0,
}
/** ClickHouse drops the rows that it cannot read, instead of the insert. */
const SKIP_UNREADABLE: ClickHouseSettings = { input_format_allow_errors_ratio: 1 }

/** The text of small rows is encoded in chunks of this many characters, because a write costs more than a row. */
const CHUNK_LENGTH = 64 * 1024

/**
 * Inserts all rows or none, or with `skipUnreadable` those that ClickHouse can read. Resolves when they are durable. The token, a
 * hash of the text, lets ClickHouse drop a retry of the same insert.
 */
export async function insertTexts(
  client: ClickHouseClient,
  texts: readonly RowText[],
  skipUnreadable: boolean,
  signal: AbortSignal,
): Promise<void> {
  // The client observes the signal only while a request is in flight.
  signal.throwIfAborted()
  const chunks = [...chunksOf(texts)]
  const token = createHash('sha256')
  for (const chunk of chunks) token.update(chunk)
  const { stream } = await client.exec({
    query: INSERT,
    values: Readable.from(chunks, { objectMode: false }),
    clickhouse_settings: {
      ...SETTINGS,
      ...(skipUnreadable ? SKIP_UNREADABLE : {}),
      insert_deduplication_token: token.digest('hex'),
    },
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

/** The limits of one look-up: the ids of its rows are in the URL, of which ClickHouse accepts 1 MiB. */
const LOOKUP_LIMITS = { items: 1000, bytes: 200_000 }

/** Returns the rows that are not in the table. */
export async function missingRows(
  client: ClickHouseClient,
  texts: readonly RowText[],
  signal: AbortSignal,
): Promise<readonly RowText[]> {
  const missing: RowText[] = []
  const budget = new ByteBudget(LOOKUP_LIMITS)
  let part: RowText[] = []
  for (const text of texts) {
    const bytes = Buffer.byteLength(rowKey(text.row))
    if (!budget.fits(bytes)) {
      missing.push(...(await missingOf(client, part, signal)))
      part = []
      budget.clear()
    }
    budget.add(bytes)
    part.push(text)
  }
  missing.push(...(await missingOf(client, part, signal)))
  return missing
}

const LOOKUP = `SELECT organization_id, end_device_id, identity FROM processed_envelope_rows
  WHERE organization_id IN {organizations:Array(String)} AND end_device_id IN {devices:Array(String)}
    AND occurred_at >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')
    AND occurred_at <= fromUnixTimestamp64Micro({to:Int64}, 'UTC')
    AND identity IN {ids:Array(String)}`

async function missingOf(
  client: ClickHouseClient,
  texts: readonly RowText[],
  signal: AbortSignal,
): Promise<readonly RowText[]> {
  const envelopes = texts.map(({ row }) => row.envelope)
  const times = envelopes.map(({ occurredAt }) => occurredAt).toSorted((a, b) => (a < b ? -1 : 1))
  signal.throwIfAborted()
  const result = await client.query({
    query: LOOKUP,
    query_params: {
      organizations: [...new Set(envelopes.map(({ organizationId }) => organizationId))],
      devices: [...new Set(envelopes.map(({ endDeviceId }) => endDeviceId))],
      from: String(times[0]),
      to: String(times.at(-1)),
      ids: texts.map(({ row }) => row.envelopeId),
    },
    format: 'JSONCompactEachRow',
    abort_signal: signal,
  })
  const found = await result.json<readonly [organizationId: string, endDeviceId: string, envelopeId: string]>()
  const stored = new Set(found.map((columns) => columns.join('\n')))
  return texts.filter(({ row }) => !stored.has(rowKey(row)))
}

function rowKey({ envelope, envelopeId }: EnvelopeRow): string {
  return `${deviceKey(envelope)}\n${envelopeId}`
}
