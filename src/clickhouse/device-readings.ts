import type { JsonObject } from '../domain/entities.ts'
import type { Instant } from '../domain/instant.ts'
import type { ClickHouse } from './connection.ts'
import { runDeletion } from './envelope-deleter.ts'

/** A row of a device, with the values that identify it. */
export interface StoredReading {
  readonly envelopeId: string
  readonly occurredAt: Instant
  readonly data: JsonObject
  readonly warnings: readonly string[]
}

interface Device {
  readonly organizationId: string
  readonly endDeviceId: string
}

const OF_DEVICE = 'organization_id = {organization:String} AND end_device_id = {device:String}'
/** The id of the raw envelope in that of a reading. */
const RAW_ID = "splitByChar('#', identity)[1]"

/** Returns the rows of raw envelopes of a device, each once, in the state that readers see. */
export async function readingsOfEnvelopes(
  { client }: ClickHouse,
  device: Device,
  rawIds: readonly string[],
): Promise<readonly StoredReading[]> {
  const result = await client.query({
    query: `SELECT identity, toUnixTimestamp64Micro(occurred_at) AS occurred_at, data, warnings FROM processed_envelope_rows FINAL
      WHERE ${OF_DEVICE} AND ${RAW_ID} IN {ids:Array(String)}
      SETTINGS do_not_merge_across_partitions_select_final = 1`,
    query_params: { ...parametersOf(device), ids: rawIds },
    format: 'JSONEachRow',
  })
  type Row = Pick<StoredReading, 'data' | 'warnings'> & { identity: string; occurred_at: string }
  const rows = await result.json<Row>()
  return rows.map(({ identity, occurred_at, data, warnings }) => ({
    envelopeId: identity,
    occurredAt: BigInt(occurred_at),
    data,
    warnings,
  }))
}

/** The rows of one deletion: their ids are in the URL, of which ClickHouse accepts 1 MiB. */
const MAX_DELETED = 1000

/** Deletes rows of a device; when it resolves, no reader finds them. */
export async function deleteReadings(
  clickhouse: ClickHouse,
  device: Device,
  readings: readonly Pick<StoredReading, 'envelopeId' | 'occurredAt'>[],
): Promise<void> {
  for (let from = 0; from < readings.length; from += MAX_DELETED) {
    const part = readings.slice(from, from + MAX_DELETED)
    await runDeletion(
      clickhouse,
      `${OF_DEVICE} AND has(arrayZip({ids:Array(String)}, {times:Array(Int64)}), (identity, toUnixTimestamp64Micro(occurred_at)))`,
      {
        ...parametersOf(device),
        ids: part.map(({ envelopeId }) => envelopeId),
        times: part.map(({ occurredAt }) => occurredAt),
      },
    )
  }
}

function parametersOf({ organizationId, endDeviceId }: Device): Record<string, string> {
  return { organization: organizationId, device: endDeviceId }
}
