import { describe, expect, test, vi } from 'vitest'
import { CdcFixture, storedEvents } from '../../test/rig/services/cdc-rig.ts'

const WAIT = { timeout: 30_000, interval: 1 }
const READY = /^200 /
const RESNAPSHOT = 'run ponix-cdc resnapshot'

const fixture = new CdcFixture({ ownPostgres: true })

const organization = (id: string): Promise<unknown> =>
  fixture.database.sql(`INSERT INTO organizations (id, name) VALUES ('${id}', 'Acme')`)

const notReady = (reason: string): RegExp => new RegExp(`^503 .*${reason}`)

/** Drops the slot, even while the service streams from it and reconnects. */
async function dropSlot(): Promise<void> {
  const { database } = fixture
  await vi.waitFor(async () => {
    await database.sql(
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active',
      [database.slot],
    )
    await database.dropSlot()
  }, WAIT)
}

async function subjects(): Promise<readonly string[]> {
  return (await storedEvents(fixture.client, 'entities')).map(({ subject }) => subject)
}

describe('a service that streams', () => {
  test('B-17: waits when its slot is dropped, names the command in /readyz, and continues after it', async () => {
    const cdc = await fixture.serve()
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await organization('org')
    await fixture.untilStored('entities', 1)
    await dropSlot()
    await expect.poll(() => cdc.readiness()).toMatch(notReady(RESNAPSHOT))
    await organization('lost')
    expect(await fixture.command('status')).toMatchObject({ code: 1, text: expect.stringContaining('LOST') })
    expect(await fixture.command('resnapshot')).toMatchObject({ code: 0 })
    await fixture.untilStored('entities', 3)
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    expect(cdc.countOf(RESNAPSHOT)).toBe(1)
  })

  test('B-17: sends every existing row when ponix-cdc resnapshot is run while it streams', async () => {
    const cdc = await fixture.serve()
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await organization('org')
    await fixture.untilStored('entities', 1)
    expect(await fixture.command('resnapshot')).toMatchObject({
      code: 0,
      text: expect.stringContaining('so no change is missed'),
    })
    await fixture.untilStored('entities', 2)
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await fixture.database.sql(`UPDATE organizations SET name = 'B'`)
    await fixture.untilStored('entities', 3)
    expect(await subjects()).toEqual(['organization.create', 'organization.create', 'organization.update'])
    expect(cdc.process.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  })
})

describe('a service that starts', () => {
  test('B-17: waits with a lost slot, and continues with a new slot after ponix-cdc forget', async () => {
    await (await fixture.start()).stop()
    await dropSlot()
    await organization('skipped')
    const cdc = await fixture.serve()
    await expect.poll(() => cdc.readiness()).toMatch(notReady(RESNAPSHOT))
    expect(await fixture.command('forget')).toMatchObject({ code: 0 })
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await fixture.database.sql(`UPDATE organizations SET name = 'B'`)
    await fixture.untilStored('entities', 1)
    expect(await subjects()).toEqual(['organization.update'])
  })
})

describe('a server that stops', () => {
  test('B-17: does not end the service, is reported once, and the service continues when it returns', async () => {
    const limits = {
      PONIX_STARTUP_TIMEOUT_SECS: '1',
      PONIX_CDC_MAX_RETRY_ATTEMPTS: '2',
      PONIX_CDC_RETRY_DELAY_MS: '100',
    }
    const cdc = await fixture.serve(limits)
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await fixture.postgres.stop()
    await cdc.process.line('failed 3 times in a row')
    await expect.poll(() => cdc.readiness()).toMatch(notReady('ECONNREFUSED'))
    await fixture.postgres.start()
    await fixture.database.reconnect()
    await expect.poll(() => cdc.readiness()).toMatch(READY)
    await organization('org')
    await fixture.untilStored('entities', 1)
    expect(cdc.countOf('failed 3 times in a row')).toBe(1)
    expect(cdc.process.lines.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(3)
  })
})
