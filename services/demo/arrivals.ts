import { z } from 'zod'
import type { ClickHouse } from '../../src/clickhouse/connection.ts'
import type { Inventory } from './inventory.ts'

/** What ClickHouse has of the demo's devices. */
export interface Arrivals {
  readonly total: number
  readonly newest: { readonly name: string; readonly data: string } | null
}

const answer = z.array(
  z.object({ total: z.coerce.number(), end_device_id: z.string(), data: z.record(z.string(), z.unknown()) }),
)

const QUERY = `
  SELECT count() AS total, argMax(end_device_id, occurred_at) AS end_device_id, argMax(data, occurred_at) AS data
  FROM processed_envelopes
  WHERE organization_id = {organization: String}
  HAVING total > 0`

/** Counts the rows of the demo's organization and brings the newest one. */
export async function readArrivals(
  clickhouse: ClickHouse,
  { organizationId, devices }: Inventory,
  signal: AbortSignal,
): Promise<Arrivals> {
  const result = await clickhouse.client.query({
    query: QUERY,
    query_params: { organization: organizationId },
    format: 'JSONEachRow',
    abort_signal: signal,
  })
  const [row] = answer.parse(await result.json())
  if (row === undefined) return { total: 0, newest: null }
  const name = devices.find(({ deviceId }) => deviceId === row.end_device_id)?.demo.name ?? row.end_device_id
  return { total: row.total, newest: { name, data: JSON.stringify(row.data) } }
}
