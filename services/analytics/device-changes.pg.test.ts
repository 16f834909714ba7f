import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { PostgresCaptureActivity } from '../../src/postgres/replication/slot.ts'
import { connectPostgres, type PostgresDatabase } from '../../src/postgres/database.ts'
import { PostgresEndDeviceRepository, PostgresLastSeenStore } from '../../src/postgres/end-device-repository.ts'
import { PostgresOrganizationRepository } from '../../src/postgres/organization-repository.ts'
import { decodeEndDevice } from '../../src/proto/entities.ts'
import { CdcStage, storedEvents } from '../../test/rig/cdc-rig.ts'
import { probeLog, type LogProbe } from '../../test/rig/nats-client.ts'
import type { ServiceProcess } from '../../test/rig/program.ts'
import { DeviceChanges } from './device-changes.ts'
import { DeviceDirectory, type DeviceLookup } from './device-directory.ts'

const stage = new CdcStage()

let database: PostgresDatabase
let log: LogProbe
let cdc: ServiceProcess
let changes: DeviceChanges
let directory: DeviceDirectory
/** The clock of what is remembered. It stands still, so that nothing is looked up again because of time. */
let now: number
/** How often PostgreSQL was asked for a device. */
let asked: number
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
  asked = 0
  const endDevices = new PostgresEndDeviceRepository(database)
  directory = new DeviceDirectory({
    endDevices: {
      get(id, options) {
        asked++
        return endDevices.get(id, options)
      },
    },
    organizations: new PostgresOrganizationRepository(database),
    changesAreKnown: () => changes.known,
    now: () => now,
  })
  stopping = new AbortController()
  running = changes.run(directory, stopping.signal)
  await vi.waitUntil(() => changes.known, { timeout: 15_000 })
})

afterEach(async () => {
  stopping.abort()
  await running
  await database.close()
})

const lookUp = async (id = 'dev'): Promise<DeviceLookup> => await directory.lookUp(id, AbortSignal.timeout(30_000))
const known = (expression: string, organizationId = 'org') => ({ kind: 'known', organizationId, expression })

/** Remembered, and so long ago that no event is still on its way. */
async function remembered(id = 'dev'): Promise<DeviceLookup> {
  now += 5000
  const found = await lookUp(id)
  now += 5000
  return found
}

describe('P-6: what is remembered of a device is dropped by the event of its change', () => {
  it('remembers while nothing changes, and uses a changed expression', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    const before = asked
    expect(await remembered()).toEqual(known('{"v": 1}'))
    expect(asked).toBe(before)
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    await expect.poll(() => lookUp()).toEqual(known('{"v": 2}'))
  })

  it('sees a device that was unknown, one that is deleted, and one that moves to another organization', async () => {
    expect(await remembered('new')).toEqual({ kind: 'unknown_device' })
    await stage.database.sql(`INSERT INTO end_devices (device_id, organization_id) VALUES ('new', 'org')`)
    await expect.poll(() => lookUp('new')).toEqual(known(''))
    now += 10_000
    await stage.database.sql(`UPDATE end_devices SET organization_id = 'other' WHERE device_id = 'new'`)
    await expect.poll(() => lookUp('new')).toEqual(known('', 'other'))
    now += 10_000
    await stage.database.sql(`DELETE FROM end_devices WHERE device_id = 'new'`)
    await expect.poll(() => lookUp('new')).toEqual({ kind: 'unknown_device' })
  })

  it('knows the devices of a deleted organization no longer', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    await stage.database.sql(`UPDATE organizations SET deleted_at = now() WHERE id = 'org'`)
    await expect.poll(() => lookUp()).toEqual({ kind: 'unknown_organization', organizationId: 'org' })
  })

  it('knows no device any longer when the table is emptied', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    await stage.database.sql('TRUNCATE end_devices')
    await expect.poll(() => lookUp()).toEqual({ kind: 'unknown_device' })
  })

  it('drops everything at an event that it cannot read', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    stage.client.connection.publish('end_device.update', 'no end device')
    await expect.poll(() => lookUp()).toEqual(known('{"v": 2}'))
  })
})

describe('P-11: that a device was heard is no change', () => {
  it('makes no event and leaves what is remembered; the next event of the device does not tell of it', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    const before = asked
    await new PostgresLastSeenStore(database).record(new Map([['dev', 5_000_000n]]))
    await stage.database.sql(`UPDATE organizations SET name = 'Other' WHERE id = 'other'`)
    await stage.untilStored('entities', 1)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    expect(asked).toBe(before)
    await stage.database.sql(`UPDATE end_devices SET name = 'Renamed'`)
    await stage.untilStored('entities', 2)
    const events = await storedEvents(stage.client, 'entities')
    expect(events.map(({ subject }) => subject)).toEqual(['organization.update', 'end_device.update'])
    const [, renamed] = events.map(({ body }) => body)
    expect(decodeEndDevice(renamed ?? new Uint8Array())).toMatchObject({ name: 'Renamed', lastSeenAt: null })
  })
})

describe('P-6: while changes are not heard of, look-ups are remembered for less than a second', () => {
  it('with the service cdc away, and again until they change when it is back', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await expect.poll(() => changes.known).toBe(false)
    await log.line('devices are looked up every second, for changes are not heard of: nobody streams')
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    expect(await lookUp()).toEqual(known('{"v": 2}'))
    await stage.start()
    await expect.poll(() => changes.known).toBe(true)
    await stage.untilStored('entities', 1)
    expect(await remembered()).toEqual(known('{"v": 2}'))
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 3}'`)
    await expect.poll(() => lookUp()).toEqual(known('{"v": 3}'))
  })

  it('with NATS away; when it is back everything is asked for again, for events may be missing', async () => {
    expect(await remembered()).toEqual(known('{"v": 1}'))
    await stage.nats.kill()
    await expect.poll(() => changes.known).toBe(false)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    now += 899
    await stage.database.sql(`UPDATE end_devices SET payload_conversion = '{"v": 2}'`)
    expect(await lookUp()).toEqual(known('{"v": 1}'))
    await cdc.kill()
    await stage.nats.start()
    await stage.start()
    await expect.poll(() => changes.known).toBe(true)
    expect(await lookUp()).toEqual(known('{"v": 2}'))
  })
})
