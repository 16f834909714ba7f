import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PostgresCaptureActivity } from '../../src/postgres/replication/slot.ts'
import { connectPostgres, type PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresDeviceProfileRepository } from '../../src/postgres/device-profile-repository.ts'
import { PostgresEndDeviceRepository, PostgresLastSeenStore } from '../../src/postgres/end-device-repository.ts'
import { PostgresOrganizationRepository } from '../../src/postgres/organization-repository.ts'
import { decodeEndDevice } from '../../src/proto/entities.ts'
import { CdcFixture, storedEvents } from '../../test/rig/services/cdc-rig.ts'
import { probeLog, type LogProbe } from '../../test/rig/adapters/nats-client.ts'
import type { ServiceProcess } from '../../test/rig/program.ts'
import { DeviceChanges } from './device-changes.ts'
import { DeviceDirectory, type DeviceLookup } from './device-directory.ts'
import { celCodec } from '../../test/rig/adapters/cel-codec.ts'

const stage = new CdcFixture()

let database: PostgresDatabase
let log: LogProbe
let cdc: ServiceProcess
let changes: DeviceChanges
let directory: DeviceDirectory
/** The clock of the cache. It is stopped, so that no entry expires. */
let now: number
/** The number of device queries. */
let queries: number
let stopping: AbortController
let running: Promise<void>

beforeEach(async () => {
  log = probeLog()
  database = await connectPostgres({
    ...stage.database.server,
    applicationName: 'test',
    startupTimeoutMs: 10_000,
    logger: log.logger,
  })
  await stage.database.sql(`INSERT INTO organizations (id) VALUES ('org'), ('other');
    INSERT INTO end_devices (device_id, organization_id, payload_conversion) VALUES ('dev', 'org', '{"v": 1}')`)
  cdc = await stage.start()
  const capture = new PostgresCaptureActivity(database, stage.database.slot)
  changes = new DeviceChanges({ nats: stage.client, capture, logger: log.logger })
  now = 0
  queries = 0
  const endDevices = new PostgresEndDeviceRepository(database)
  directory = new DeviceDirectory({
    endDevices: {
      getMany(ids, options) {
        queries++
        return endDevices.getMany(ids, options)
      },
    },
    organizations: new PostgresOrganizationRepository(database),
    profiles: new PostgresDeviceProfileRepository(database),
    cdcAvailable: () => changes.available,
    now: () => now,
  })
  stopping = new AbortController()
  running = changes.run([directory], stopping.signal)
  await vi.waitUntil(() => changes.available, { timeout: 15_000 })
})

afterEach(async () => {
  stopping.abort()
  await running
  await database.close()
})

const lookUp = async (id = 'dev'): Promise<DeviceLookup> => await directory.lookUp(id, AbortSignal.timeout(30_000))
const known = (expression: string, organizationId = 'org') => ({
  kind: 'known',
  organizationId,
  codec: expression === '' ? null : celCodec(expression),
})

/** Loads a device into the cache outside of the stale read window. */
async function cached(id = 'dev'): Promise<DeviceLookup> {
  now += 5000
  const found = await lookUp(id)
  now += 5000
  return found
}

describe('P-6: CDC events invalidate the device cache', () => {
  it('an event invalidates a device only if something changes, and the changed expression is used', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    const before = queries
    expect(await cached()).toEqual(known('{"v": 1}'))
    expect(queries).toBe(before)
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    await expect.poll(() => lookUp()).toEqual(known('{"v": 2}'))
  })

  it('an event invalidates a device that is created, moved to another organization or deleted', async () => {
    expect(await cached('new')).toEqual({ kind: 'unknown_device' })
    await stage.database.sql(`INSERT INTO end_devices (device_id, organization_id) VALUES ('new', 'org')`)
    await expect.poll(() => lookUp('new')).toEqual(known(''))
    now += 10_000
    await stage.database.sql(`UPDATE end_devices SET organization_id = 'other' WHERE device_id = 'new'`)
    await expect.poll(() => lookUp('new')).toEqual(known('', 'other'))
    now += 10_000
    await stage.database.sql(`DELETE FROM end_devices WHERE device_id = 'new'`)
    await expect.poll(() => lookUp('new')).toEqual({ kind: 'unknown_device' })
  })

  it('the deletion of an organization invalidates its devices', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    await stage.database.sql(`UPDATE organizations SET deleted_at = now() WHERE id = 'org'`)
    await expect.poll(() => lookUp()).toEqual({ kind: 'unknown_organization', organizationId: 'org' })
  })

  it('a truncated table invalidates all devices', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    await stage.database.sql('TRUNCATE end_devices')
    await expect.poll(() => lookUp()).toEqual({ kind: 'unknown_device' })
  })

  it('a changed profile is in force for its devices, also when the profile of a device changes', async () => {
    const profile = (id: string, source: string) => ({ ...known(source), profile: { id, name: 'Model' } })
    await stage.database.sql(`INSERT INTO device_profiles (profile_id, name, codec_kind, codec_source)
      VALUES ('one', 'Model', 'cel', '{"p": 1}'), ('two', 'Model', 'cel', '{"p": 2}')`)
    await stage.database.sql(`UPDATE end_devices SET profile_id = 'one'`)
    await stage.untilStored('entities', 3)
    expect(await cached()).toEqual(known('{"v": 1}'))
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = ''`)
    await expect.poll(() => lookUp()).toEqual(profile('one', '{"p": 1}'))
    expect(await cached()).toEqual(profile('one', '{"p": 1}'))
    await stage.database.sql(`UPDATE device_profiles SET codec_source = '{"p": 3}' WHERE profile_id = 'one'`)
    await expect.poll(() => lookUp()).toEqual(profile('one', '{"p": 3}'))
    expect(await cached()).toEqual(profile('one', '{"p": 3}'))
    await stage.database.sql(`UPDATE end_devices SET profile_id = 'two'`)
    await expect.poll(() => lookUp()).toEqual(profile('two', '{"p": 2}'))
  })

  it('an event that cannot be decoded invalidates everything', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    stage.client.connection.publish('end_device.update', 'not an end device')
    await expect.poll(() => lookUp()).toEqual(known('{"v": 2}'))
  })
})

describe('P-11: last-seen times are not changes', () => {
  it('they produce no event, keep the cache and are absent from the next event of the device', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    const before = queries
    await new PostgresLastSeenStore(database).record(
      new Map([['dev', { heardAt: 5_000_000n, seenAt: 5_000_000n, failure: null }]]),
    )
    await stage.database.sql(`UPDATE organizations SET name = 'Other' WHERE id = 'other'`)
    await stage.untilStored('entities', 1)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    expect(queries).toBe(before)
    await stage.database.sql(`UPDATE end_devices SET name = 'Renamed'`)
    await stage.untilStored('entities', 2)
    const events = await storedEvents(stage.client, 'entities')
    expect(events.map(({ subject }) => subject)).toEqual(['organization.update', 'end_device.update'])
    const [, renamed] = events.map(({ body }) => body)
    expect(decodeEndDevice(renamed ?? new Uint8Array())).toMatchObject({ name: 'Renamed', lastSeenAt: null })
  })
})

describe('P-6: the cache TTL is less than a second without CDC events', () => {
  it('the short TTL applies while cdc is down; when cdc is up again, entries are cached until they change', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await expect.poll(() => changes.available).toBe(false)
    await log.line('CDC events unavailable; the device cache TTL is 0.9 s: no process streams')
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    expect(await lookUp()).toEqual(known('{"v": 2}'))
    await stage.start()
    await expect.poll(() => changes.available).toBe(true)
    await stage.untilStored('entities', 1)
    expect(await cached()).toEqual(known('{"v": 2}'))
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 3}'`)
    await expect.poll(() => lookUp()).toEqual(known('{"v": 3}'))
  })

  it('a check that takes long delays no other, so events stay available while the system is overloaded', async () => {
    const capture = new PostgresCaptureActivity(database, stage.database.slot)
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    let checks = 0
    const isActive: typeof capture.isActive = async (options) => {
      checks += 1
      if (checks === 1) await answered
      return await capture.isActive(options)
    }
    const slow = new DeviceChanges({ nats: stage.client, capture: { isActive }, logger: log.logger })
    const checking = slow.run([], stopping.signal)
    await expect.poll(() => slow.available).toBe(true)
    answer()
    stopping.abort()
    await checking
  })

  it('the short TTL applies while NATS is down; when NATS is up again, the cache is cleared, because events may be missing', async () => {
    expect(await cached()).toEqual(known('{"v": 1}'))
    await stage.nats.kill()
    await expect.poll(() => changes.available).toBe(false)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    now += 899
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await stage.nats.start()
    await stage.start()
    await expect.poll(() => changes.available).toBe(true)
    expect(await lookUp()).toEqual(known('{"v": 2}'))
  })
})
