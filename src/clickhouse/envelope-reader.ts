import { addAbortSignal } from 'node:stream'
import { ClickHouseError, type ClickHouseSettings } from '@clickhouse/client'
import { isJsonObject, type JsonObject, type JsonValue, type Uplink } from '../domain/entities.ts'
import { DomainError } from '../domain/errors.ts'
import type { CallOptions, TelemetryReader } from '../domain/ports.ts'
import { nested, type StoredEnvelope, type TelemetryQuery, type TelemetryRange } from '../domain/telemetry.ts'
import type { ClickHouse } from './connection.ts'
import { classifyInsertError } from './insert-error.ts'
import { timeoutSignal } from '../runner/timeout-signal.ts'

/** The limit of concurrent reads; each uses memory and waits for one of a few connections. */
const MAX_READS = 256

export const READ_SETTINGS: ClickHouseSettings = {
  readonly: '2',
  cancel_http_readonly_queries_on_client_close: 1,
  // Larger sorts, of a whole organization, spill to disk.
  max_bytes_before_external_sort: String(256 << 20),
  // The rows of one device are stored in order: they are streamed as they are read, and reading stops at the limit.
  optimize_read_in_order: 1,
  // LIMIT BY keeps the sequence, which the id determines: only then its columns begin the order, and it needs no table of all ids.
  optimize_limit_by_function_keys: 0,
}

/** Reads the table behind the view `processed_envelopes`: the view has no envelope id. */
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

/** Yields the rows of the response, each a line of JSONCompactEachRow. */
async function* lines(
  { client }: ClickHouse,
  query: TelemetryQuery,
  range: TelemetryRange,
  { signal: callSignal }: CallOptions = {},
): AsyncGenerator<readonly string[], void, undefined> {
  // The client observes the signal only while a request is in flight.
  callSignal?.throwIfAborted()
  const timeout = range.timeoutMs === null ? undefined : timeoutSignal(range.timeoutMs)
  const signal = AbortSignal.any([callSignal, timeout].filter((one) => one !== undefined))
  try {
    const { text, parameters } = envelopeQuery(query, range)
    const result = await client.query({
      query: text,
      query_params: parameters,
      format: 'JSONCompactEachRow',
      clickhouse_settings: READ_SETTINGS,
      abort_signal: signal,
    })
    const stream = addAbortSignal(signal, result.stream())
    for await (const batch of stream) yield batch.map(({ text: line }) => line)
  } catch (error) {
    if (callSignal?.aborted === true) throw callSignal.reason
    if (timeout?.aborted === true || isTimeout(error))
      throw unavailable('The query took too long; request a shorter time range', error)
    if (classifyInsertError(error) !== 'server') throw error
    throw unavailable('The telemetry store is not available; try again', error)
  }
}

/** Returns the error for callers; ClickHouse's message is only its cause, which callers do not receive. */
function unavailable(message: string, cause?: unknown): DomainError {
  return new DomainError('unavailable', message, { cause })
}

/** Returns whether the server's time limit, or the client's for a server that does not respond, was exceeded. */
function isTimeout(error: unknown): boolean {
  if (error instanceof ClickHouseError) return error.type === 'TIMEOUT_EXCEEDED'
  return error instanceof Error && error.message === 'Timeout error.'
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const
const NEWEST_FIRST = `occurred_at DESC, end_device_id DESC, ${sequenceIn('identity')} DESC, identity DESC`

/**
 * Selects each envelope once; values of callers are parameters. Envelopes of one device and time are ordered by their stream
 * sequence. The rows of one device are stored in the requested order: they are read from the end, and of rows
 * with the same envelope id the first is selected, which is the latest (as with FINAL). The rows of a whole organization are merged
 * by FINAL and sorted.
 */
export function envelopeQuery(query: TelemetryQuery, range: TelemetryRange) {
  const { conditions, parameters } = conditionsOf(query, range.after)
  const data = query.fieldPaths.map((path, index) => {
    parameters[`field_${index}`] = path
    parameters[`object_${index}`] = subObject(path)
    return `getSubcolumn(data, {field_${index}:String}), getSubcolumn(data, {object_${index}:String})`
  })
  const columns = ['toUnixTimestamp64Micro(occurred_at)', 'toUnixTimestamp64Micro(processed_at)']
  const uplink = query.withUplink ? ['f_port', 'f_cnt', 'metadata'] : ['NULL', 'NULL', 'NULL']
  const fields = data.length === 0 ? ['data'] : data
  const select = [...columns, 'end_device_id', 'identity', 'warnings', ...uplink, ...fields].join(', ')
  const inOrder = query.endDeviceId !== null
  const clauses = [
    `SELECT ${select} FROM processed_envelope_rows${inOrder ? '' : ' FINAL'}`,
    `WHERE ${conditions.join(' AND ')}`,
    inOrder
      ? `ORDER BY ${NEWEST_FIRST}, processed_at DESC LIMIT 1 BY occurred_at, end_device_id, ${sequenceIn('identity')}, identity`
      : `ORDER BY ${NEWEST_FIRST}`,
  ]
  if (range.limit !== null) {
    clauses.push('LIMIT {limit:UInt64}')
    parameters['limit'] = String(range.limit)
  }
  // Rows of one envelope have the same occurred_at, hence the same partition.
  if (!inOrder) clauses.push('SETTINGS do_not_merge_across_partitions_select_final = 1')
  return { text: clauses.join(' '), parameters }
}

function conditionsOf({ organizationId, endDeviceId, from, to }: TelemetryQuery, after: TelemetryRange['after']) {
  const conditions = ['organization_id = {organization:String}']
  const parameters: Record<string, string> = { organization: organizationId }
  if (endDeviceId !== null) {
    conditions.push('end_device_id = {device:String}')
    parameters['device'] = endDeviceId
  }
  if (from !== null) {
    conditions.push(`occurred_at >= ${time('from')}`)
    parameters['from'] = int64(from)
  }
  if (to !== null) {
    conditions.push(`occurred_at < ${time('to')}`)
    parameters['to'] = int64(to)
  }
  if (after !== null) {
    // The primary key serves the first condition only.
    conditions.push(
      `occurred_at <= ${time('after')}`,
      `(occurred_at, end_device_id, ${sequenceIn('identity')}, identity) < ` +
        `(${time('after')}, {after_device:String}, ${sequenceIn('{after_identity:String}')}, {after_identity:String})`,
    )
    parameters['after'] = int64(after.occurredAt)
    parameters['after_device'] = after.endDeviceId
    parameters['after_identity'] = after.envelopeId
  }
  return { conditions, parameters }
}

/**
 * Returns the stream sequence in an envelope id, `{stream}:{sequence}` or `{stream}:{sequence}:{stored at}`, the latter with
 * `#{index of the reading}` if its payload has a list of them; 0 in another id.
 */
function sequenceIn(envelopeId: string): string {
  return String.raw`toUInt64OrZero(extract(${envelopeId}, ':(\\d+)(?::\\d+)?(?:#\\d+)?$'))`
}

function time(parameter: string): string {
  return `fromUnixTimestamp64Micro({${parameter}:Int64}, 'UTC')`
}

/** Clamps to Int64, which contains all envelopes. */
function int64(value: bigint): string {
  if (value < INT64.min) return String(INT64.min)
  return String(value > INT64.max ? INT64.max : value)
}

/** Returns ClickHouse's name for the object at a path; the path alone names a value that is not an object. */
function subObject(path: string): string {
  return `^\`${path.replaceAll('\\', String.raw`\\`)}\``
}

type Row = readonly [
  ...ids: [occurredAt: string, processedAt: string, device: string, envelopeId: string],
  warnings: readonly string[],
  ...uplink: [fPort: number | null, fCnt: number | null, metadata: JsonObject | null],
  ...data: JsonValue[],
]

function storedEnvelope({ organizationId, fieldPaths }: TelemetryQuery, line: string): StoredEnvelope {
  const row: Row = JSON.parse(line)
  const [occurredAt, processedAt, endDeviceId, envelopeId, warnings, fPort, fCnt, metadata, ...columns] = row
  const data =
    fieldPaths.length === 0
      ? objectOrEmpty(columns[0])
      : nested(fieldPaths.map((path, index) => [path, valueOf(columns[2 * index], columns[2 * index + 1])]))
  const times = { occurredAt: BigInt(occurredAt), processedAt: BigInt(processedAt) }
  const uplink = uplinkOf(fPort, fCnt, metadata)
  const more = { ...(warnings.length > 0 && { warnings }), ...(uplink && { uplink }) }
  return { envelope: { organizationId, endDeviceId, ...times, data, ...more }, envelopeId }
}

/** A JSON column cannot distinguish an empty object from an absent one. */
function uplinkOf(fPort: number | null, fCnt: number | null, metadata: JsonObject | null): Uplink | undefined {
  const hasMetadata = metadata !== null && Object.keys(metadata).length > 0
  if (fPort === null && fCnt === null && !hasMetadata) return undefined
  return {
    ...(fPort === null ? {} : { fPort }),
    ...(fCnt === null ? {} : { fCnt }),
    ...(hasMetadata ? { metadata } : {}),
  }
}

/** Returns the value at a path. A JSON column stores neither null nor an empty object: both mean that the path is absent. */
function valueOf(value: JsonValue | undefined, object: JsonValue | undefined): JsonValue | undefined {
  const whole = objectOrEmpty(object)
  return Object.keys(whole).length > 0 ? whole : (value ?? undefined)
}

function objectOrEmpty(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}
