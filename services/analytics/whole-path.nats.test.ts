import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startWholePath, type WholePath } from '../../test/rig/services/pipeline.ts'

let path: WholePath

beforeAll(async () => {
  path = await startWholePath()
}, 300_000)

afterAll(() => path.stop())

describe('P-1, P-8: the path from the bytes of a device to rows in ClickHouse', () => {
  it('stores exactly 100 rows for 100 raw envelopes', async () => {
    await path.createDevice('example')
    await path.publish('example', 100)
    await expect.poll(() => path.rowsOf('example'), { timeout: 20_000 }).toEqual({ rows: 100, envelopes: 100 })
    const values = `SELECT DISTINCT organization_id, data.temperature_0.:Float64 AS t, data.humidity_1.:Float64 AS h,
        data.barometer_2.:Float64 AS b, processed_at >= occurred_at AS later
      FROM processed_envelopes WHERE end_device_id = {device: String}`
    const expected = { organization_id: 'organization', t: 25.5, h: 65, b: 1013.3, later: 1 }
    expect(await path.query(values, 'example')).toEqual([expected])
    expect(await path.deadLetters()).toBe(0)
  })
})

describe('P-11: PostgreSQL', () => {
  it('stores the last-seen time of the newest envelope of a device', async () => {
    await path.createDevice('seen')
    expect((await path.endDevices.get('seen'))?.lastSeenAt).toBeNull()
    await path.publish('seen', 100)
    await expect.poll(() => path.rowsOf('seen'), { timeout: 20_000 }).toEqual({ rows: 100, envelopes: 100 })
    const newest = `SELECT toString(toUnixTimestamp64Micro(max(occurred_at))) AS at
      FROM processed_envelopes WHERE end_device_id = {device: String}`
    const [{ at }] = z.tuple([z.object({ at: z.string() })]).parse(await path.query(newest, 'seen'))
    await expect.poll(async () => String((await path.endDevices.get('seen'))?.lastSeenAt)).toBe(at)
  })
})

describe('P-9, P-10: exactly one row per envelope', () => {
  it.each(['clickhouse', 'postgres', 'nats'] as const)(
    'is stored when %s is killed under load',
    async (server) => {
      await path.createDevice(server)
      const publishing = path.publish(server, 10_000)
      await expect.poll(() => path.rowsOf(server), { timeout: 20_000 }).not.toMatchObject({ rows: 0 })
      expect(await path.rowsOf(server)).not.toMatchObject({ rows: 10_000 })
      await path.servers[server].kill()
      await path.servers[server].start()
      await publishing
      await expect.poll(() => path.rowsOf(server), { timeout: 55_000 }).toEqual({ rows: 10_000, envelopes: 10_000 })
      expect(await path.deadLetters()).toBe(0)
    },
    120_000,
  )
})
