import { afterAll, beforeAll, expect, test } from 'vitest'
import { now } from '../../src/domain/instant.ts'
import type { OrganizationStatus } from '../../src/domain/entities.ts'
import { type Pipeline, startPipeline } from '../../test/rig/services/pipeline.ts'
import { deleteExpiredRows } from './row-retention.ts'

// PostgreSQL and ClickHouse are real.

const signal = new AbortController().signal
const DAY = 86_400_000_000n

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline()
}, 120_000)
afterAll(() => pipeline.stop())

async function newOrganization(id: string, retentionDays: number): Promise<void> {
  const status: OrganizationStatus = 'active'
  await pipeline.organizations.create({ id, name: id, status, retentionDays })
}

/** Writes rows of these ages in days. */
async function write(organizationId: string, ...ages: readonly number[]): Promise<void> {
  const rows = ages.map((age) => {
    const occurredAt = now() - BigInt(age) * DAY
    const envelope = { organizationId, endDeviceId: 'device', occurredAt, processedAt: occurredAt, data: { age } }
    return { envelope, envelopeId: `${organizationId}-${age}` }
  })
  await pipeline.writer.write(rows, signal)
}

/** Returns the ages of the rows that exist. */
async function agesOf(organization: string): Promise<readonly number[]> {
  const text = `SELECT toUInt32(data.age::Int64) AS age FROM processed_envelopes
    WHERE organization_id = {organization:String} ORDER BY age`
  return (await pipeline.query<{ age: number }>(text, { organization })).map(({ age }) => age)
}

test('P-14 rows older than the retention of their organization are deleted, also by instances that run at the same time', async () => {
  await newOrganization('month', 30)
  await newOrganization('year', 365)
  await newOrganization('forever', 0)
  await newOrganization('deleted', 30)
  await pipeline.organizations.delete('deleted')
  for (const id of ['month', 'year', 'forever', 'deleted', 'unknown']) await write(id, 1, 29, 32, 100, 400)
  const parts = { ...pipeline, now }
  await Promise.all([deleteExpiredRows(parts, signal), deleteExpiredRows(parts, signal)])
  expect(await agesOf('month')).toEqual([1, 29])
  expect(await agesOf('deleted')).toEqual([1, 29])
  expect(await agesOf('year')).toEqual([1, 29, 32, 100])
  expect(await agesOf('forever')).toEqual([1, 29, 32, 100, 400])
  expect(await agesOf('unknown')).toEqual([1, 29, 32, 100, 400])
})

test('P-14 a row that arrives after the end of its retention is deleted by the next run', async () => {
  await newOrganization('late', 7)
  await write('late', 1)
  await deleteExpiredRows({ ...pipeline, now }, signal)
  await write('late', 9)
  expect(await agesOf('late')).toEqual([1, 9])
  await deleteExpiredRows({ ...pipeline, now }, signal)
  expect(await agesOf('late')).toEqual([1])
})

test('P-14 no mutation is added while ClickHouse cannot carry out the former one', async () => {
  await newOrganization('failing', 7)
  await write('failing', 9)
  const { client } = pipeline.clickhouse
  const settings = { mutations_sync: '0' } as const
  const query = `ALTER TABLE processed_envelope_rows DELETE WHERE throwIf(organization_id = 'failing')`
  await client.command({ query, clickhouse_settings: settings })
  const mutations = async (): Promise<unknown> =>
    await pipeline.query('SELECT mutation_id, latest_fail_reason FROM system.mutations WHERE NOT is_done')
  const before = await mutations()
  await expect(deleteExpiredRows({ ...pipeline, now }, signal)).rejects.toThrow('ClickHouse cannot delete rows yet')
  expect(await mutations()).toMatchObject([{ mutation_id: (before as { mutation_id: string }[])[0]?.mutation_id }])
  await client.command({ query: `KILL MUTATION WHERE table = 'processed_envelope_rows' SYNC` })
  await deleteExpiredRows({ ...pipeline, now }, signal)
  expect(await agesOf('failing')).toEqual([])
})
