import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouse } from './connection.ts'

/** The rows of a device: in one organization, or in all. */
export interface DeviceRows {
  readonly endDeviceId: string
  readonly organizationId?: string | undefined
}

const POLL_MS = 100

/** Returns the number of rows, including duplicates that are not merged yet, and an estimate of their bytes before compression. */
export async function countRows({ client }: ClickHouse, rows: DeviceRows): Promise<{ items: number; bytes: number }> {
  const result = await client.query({
    query: `SELECT count() AS items, sum(length(toJSONString(data)) + length(toJSONString(metadata)) + length(identity)) AS bytes
      FROM processed_envelope_rows WHERE ${conditionOf(rows)}`,
    query_params: parametersOf(rows),
    format: 'JSONEachRow',
  })
  const [counted] = await result.json<{ items: string; bytes: string }>()
  return { items: Number(counted?.items ?? 0), bytes: Number(counted?.bytes ?? 0) }
}

/**
 * Deletes the rows that exist now; when it resolves, no reader finds them. It is a mutation, which rewrites the parts that contain such
 * rows: ClickHouse removes the former parts a few minutes later (`old_parts_lifetime`, 8 minutes by default). Rejects if ClickHouse cannot
 * carry it out; a lightweight delete would only hide the rows until an unrelated merge.
 */
export async function deleteRows(clickhouse: ClickHouse, rows: DeviceRows): Promise<void> {
  await runDeletion(clickhouse, conditionOf(rows), parametersOf(rows))
}

export interface DeletionOptions {
  /** Deletes only in this partition: the month as `YYYYMM`. */
  readonly month?: number
  /** Ends the wait for a deletion, which ClickHouse then completes by itself. */
  readonly signal?: AbortSignal
}

/** Deletes the rows of a condition, as {@link deleteRows} does. Adds no mutation behind one that ClickHouse cannot carry out. */
export async function runDeletion(
  clickhouse: ClickHouse,
  condition: string,
  parameters: Readonly<Record<string, unknown>>,
  { month, signal }: DeletionOptions = {},
): Promise<void> {
  await untilNoMutation(clickhouse, signal)
  const place = month === undefined ? '' : `IN PARTITION ${month}`
  await clickhouse.client.command({
    query: `ALTER TABLE processed_envelope_rows DELETE ${place} WHERE ${condition}`,
    query_params: parameters,
    clickhouse_settings: { mutations_sync: '0' },
  })
  await untilNoMutation(clickhouse, signal)
}

/** Waits in the client, because waiting in the request would exceed its timeout for a large table. */
async function untilNoMutation(clickhouse: ClickHouse, signal?: AbortSignal): Promise<void> {
  while (await hasMutation(clickhouse)) await sleep(POLL_MS, undefined, { signal })
}

async function hasMutation({ client }: ClickHouse): Promise<boolean> {
  const result = await client.query({
    query: `SELECT latest_fail_reason AS reason FROM system.mutations
      WHERE database = currentDatabase() AND table = 'processed_envelope_rows' AND NOT is_done`,
    format: 'JSONEachRow',
  })
  const open = await result.json<{ reason: string }>()
  const failed = open.find(({ reason }) => reason !== '')
  if (failed !== undefined) throw new Error(`ClickHouse cannot delete rows yet, and retries: ${failed.reason}`)
  return open.length > 0
}

function conditionOf({ organizationId }: DeviceRows): string {
  const device = 'end_device_id = {device:String}'
  return organizationId === undefined ? device : `organization_id = {organization:String} AND ${device}`
}

function parametersOf({ endDeviceId, organizationId }: DeviceRows): Record<string, string> {
  return { device: endDeviceId, ...(organizationId === undefined ? {} : { organization: organizationId }) }
}
