import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { connectPostgres, type PostgresDatabase } from './database.ts'
import { PostgresEndDeviceRepository, PostgresLastSeenStore } from './end-device-repository.ts'
import { TestSchema } from '../../test/rig/adapters/test-schema.ts'

let schema: TestSchema
let database: PostgresDatabase
let store: PostgresLastSeenStore
let endDevices: PostgresEndDeviceRepository

beforeAll(async () => {
  schema = await TestSchema.create(inject('postgres'))
  database = await connectPostgres(schema.options)
  store = new PostgresLastSeenStore(database)
  endDevices = new PostgresEndDeviceRepository(database)
})

afterAll(async () => {
  await database.close()
  await schema[Symbol.asyncDispose]()
})

beforeEach(() =>
  schema.sql(`TRUNCATE organizations, end_devices, gateways, device_profiles, end_device_last_seen;
    INSERT INTO organizations (id) VALUES ('org');
    INSERT INTO end_devices (device_id, organization_id)
      SELECT 'dev' || lpad(n::text, 3, '0'), 'org' FROM generate_series(0, 99) n`),
)

const id = (number: number): string => `dev${String(number).padStart(3, '0')}`
const lastSeenOf = async (deviceId: string) => (await endDevices.get(deviceId))?.lastSeenAt
const rows = () => schema.sql('SELECT end_device_id, last_seen_at::text FROM end_device_last_seen ORDER BY 1')

/** Records that payloads of these devices were decoded. */
const record = (seen: ReadonlyMap<string, bigint>, recorder = store) =>
  recorder.record(new Map([...seen].map(([device, at]) => [device, { heardAt: at, seenAt: at, failure: null }])))

describe('P-11: the last-seen time of a device', () => {
  test('is null before the first record, then the latest recorded time, to the microsecond', async () => {
    expect(await lastSeenOf(id(1))).toBeNull()
    await record(new Map([[id(1), 1_767_323_045_000_006n]]))
    expect(await lastSeenOf(id(1))).toBe(1_767_323_045_000_006n)
    await record(new Map([[id(1), 1_767_323_045_000_005n]]))
    expect(await lastSeenOf(id(1))).toBe(1_767_323_045_000_006n)
    await record(new Map([[id(1), 1_767_323_045_000_007n]]))
    expect(await lastSeenOf(id(1))).toBe(1_767_323_045_000_007n)
  })

  test('is kept beside the time of a payload that failed and its error, until a later payload is decoded', async () => {
    const shown = async () => {
      const { lastHeardAt, lastSeenAt, lastError, lastErrorAt } = (await endDevices.get(id(1))) ?? {}
      return [lastHeardAt, lastSeenAt, lastError, lastErrorAt]
    }
    const fail = (at: bigint, reason: string) =>
      store.record(new Map([[id(1), { heardAt: at, seenAt: null, failure: { at, reason } }]]))
    expect(await shown()).toEqual([null, null, null, null])
    await fail(5n, 'no expression')
    expect(await shown()).toEqual([5n, null, 'no expression', 5n])
    await record(new Map([[id(1), 6n]]))
    expect(await shown()).toEqual([6n, 6n, null, null])
    await fail(4n, 'an older payload')
    expect(await shown()).toEqual([6n, 6n, null, null])
    await fail(8n, 'broken')
    expect(await shown()).toEqual([8n, 6n, 'broken', 8n])
    await fail(7n, 'an older payload')
    expect(await shown()).toEqual([8n, 6n, 'broken', 8n])
  })

  test('is contained in lists and in the result of updates', async () => {
    await record(new Map([[id(99), 5_000_000n]]))
    const { items } = await endDevices.list('org', { size: 500, after: null })
    expect(items.filter(({ lastSeenAt }) => lastSeenAt !== null)).toMatchObject([
      { deviceId: id(99), lastSeenAt: 5_000_000n },
    ])
    expect(await endDevices.update(id(99), { name: 'new' })).toMatchObject({ name: 'new', lastSeenAt: 5_000_000n })
  })

  test('is not stored for a device that does not exist, and is deleted with its device', async () => {
    await record(
      new Map([
        [id(1), 1n],
        [id(2), 2n],
        ['unknown', 3n],
      ]),
    )
    await endDevices.delete(id(1))
    expect(await rows()).toMatchObject([{ end_device_id: id(2) }])
  })

  test('is never in the future, and a stored time in the future is corrected', async () => {
    await record(
      new Map([
        [id(1), -62_135_596_800_000_000n],
        [id(2), 253_402_300_799_999_999n],
      ]),
    )
    expect(await lastSeenOf(id(1))).toBe(-62_135_596_800_000_000n)
    const [present] = await schema.sql<{ now: string }>('SELECT (extract(epoch FROM now()) * 1000000)::int8 AS now')
    expect(await lastSeenOf(id(2))).toBeLessThanOrEqual(BigInt(present?.now ?? 0))
    expect(await lastSeenOf(id(2))).toBeGreaterThan(1_700_000_000_000_000n)
    await schema.sql(`UPDATE end_device_last_seen SET last_seen_at = now() + interval '1 year'`)
    await record(new Map([[id(1), 5n]]))
    expect(await lastSeenOf(id(1))).toBe(5n)
  })

  test('tells whether several organizations were active recently', async () => {
    const now = BigInt(Date.now()) * 1000n
    await schema.sql(`INSERT INTO organizations (id) VALUES ('second');
      INSERT INTO end_devices (device_id, organization_id) VALUES ('of-second', 'second')`)
    await record(
      new Map([
        [id(1), now],
        ['of-second', now - 60_000_000n],
      ]),
    )
    expect(await store.hasSeveralOrganizations(3_600_000)).toBe(true)
    expect(await store.hasSeveralOrganizations(30_000)).toBe(false)
  })

  test('concurrent writers of the same devices in different orders do not deadlock', async () => {
    // With this many devices PostgreSQL would lock them in the given order without ORDER BY.
    await schema.sql(`INSERT INTO end_devices (device_id, organization_id)
        SELECT 'more' || n, 'org' FROM generate_series(1, 20000) n;
      ANALYZE end_devices`)
    const forwards = Array.from({ length: 100 }, (_, index) => id(index))
    const rounds = Array.from({ length: 40 }, (_, round) => BigInt(round) * 1000n)
    await Promise.all(
      rounds.map((at, round) => {
        const ids = round % 2 === 0 ? forwards : forwards.toReversed()
        return record(new Map(ids.map((deviceId) => [deviceId, at])))
      }),
    )
    const seen = await schema.sql(
      'SELECT DISTINCT extract(epoch FROM last_seen_at)::float8 AS at FROM end_device_last_seen',
    )
    expect(seen).toEqual([{ at: 0.039 }])
  })

  test('does not wait for a concurrent deletion and leaves no orphaned row', async () => {
    await database.transaction(async (run) => {
      await run({ name: 'test_delete', text: 'DELETE FROM end_devices WHERE device_id = $1' }, [id(1)])
      await record(
        new Map([
          [id(1), 1n],
          [id(2), 2n],
        ]),
      )
    })
    expect(await rows()).toMatchObject([{ end_device_id: id(2) }])
  })

  test('is not in the publication', async () => {
    const published = await schema.sql(
      `SELECT tablename FROM pg_publication_tables WHERE pubname = 'ponix_cdc_publication'`,
    )
    expect(published.map(({ tablename }) => tablename)).not.toContain('end_device_last_seen')
    expect(published).toHaveLength(4)
  })
})
