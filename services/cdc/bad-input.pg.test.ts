import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { decodeOrganization } from '../../src/proto/entities.ts'
import { CdcFixture, storedCount, storedEvents } from '../../test/rig/services/cdc-rig.ts'

const WAIT = { timeout: 60_000, interval: 50 }
const ORGANIZATION = `INSERT INTO organizations (id, name) VALUES ('org', 'Acme')`

/**
 * The rows of the large transaction. PONIX_CDC_HUGE_ROWS=1000000 makes a transaction that does not fit into memory and takes
 * minutes.
 */
const HUGE_ROWS = Number(process.env['PONIX_CDC_HUGE_ROWS'] ?? '60000')
const MAX_MS = 30_000 + HUGE_ROWS / 4

const fixture = new CdcFixture()

/** Returns the current and the peak memory of a process, in MB. */
function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') }
}

const limitEntities = async (limits: { readonly max_msgs: number }): Promise<void> => {
  const { config } = await fixture.client.manager.streams.info('entities')
  await fixture.client.manager.streams.update('entities', { ...config, ...limits })
}

describe('cdc with a NATS that does not store events', () => {
  test(
    `C-8: memory stays bounded in a transaction of ${HUGE_ROWS} rows with NATS stopped, and every row is stored once`,
    async () => {
      const cdc = await fixture.start()
      await fixture.database.sql(ORGANIZATION)
      await fixture.untilStored('entities', 1)
      await fixture.nats.stop()
      await cdc.line('NATS')
      const before = memoryOf(cdc.pid).now
      await fixture.database.sql(
        `INSERT INTO organizations (id, name) SELECT 'o' || n, repeat('x', 500) FROM generate_series(1, ${HUGE_ROWS}) n`,
      )
      const end = await fixture.database.walEnd()
      await vi.waitUntil(() => fixture.database.serverWaits(), WAIT)
      expect(await fixture.database.confirmed()).toBeLessThan(end)
      await fixture.nats.start()
      await vi.waitUntil(() => fixture.client.link.connected, WAIT)
      await fixture.untilStored('entities', HUGE_ROWS + 1, MAX_MS)
      // The limit allows for the window and its garbage; all rows in memory would need more than twice as much.
      expect(memoryOf(cdc.pid).peak - before).toBeLessThan(180)
      const ids = (await storedEvents(fixture.client, 'entities')).map(({ body }) => decodeOrganization(body).id)
      expect(ids).toEqual(['org', ...Array.from({ length: HUGE_ROWS }, (_, n) => `o${n + 1}`)])
      await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
    },
    2 * MAX_MS,
  )

  test('C-3: waits while a stream is full, and then stores every event once and in order', async () => {
    const cdc = await fixture.start()
    await limitEntities({ max_msgs: 2 })
    await fixture.database.sql(`INSERT INTO organizations (id) SELECT 'o' || n FROM generate_series(1, 50) n`)
    const end = await fixture.database.walEnd()
    expect((await cdc.line('JetStream does not store')).msg).toContain('maximum messages exceeded')
    expect(await storedCount(fixture.client, 'entities')).toBe(2)
    expect(await fixture.database.confirmed()).toBeLessThan(end)
    await limitEntities({ max_msgs: -1 })
    await fixture.untilStored('entities', 50)
    const ids = (await storedEvents(fixture.client, 'entities')).map(({ body }) => decodeOrganization(body).id)
    expect(ids).toEqual(Array.from({ length: 50 }, (_, n) => `o${n + 1}`))
  })

  test('C-3: publishes a row that NATS accepts with its headers, and stalls at one that it does not', async () => {
    const cdc = await fixture.start()
    const limit = fixture.client.connection.info?.max_payload ?? 0
    const insert = (id: string, size: number) =>
      fixture.database.sql(`INSERT INTO organizations (id, name) VALUES ('${id}', repeat('x', ${size}))`)
    // The other fields have about 60 bytes, the headers more than 200 and less than 900.
    await insert('fits', limit - 1000)
    await fixture.untilStored('entities', 1)
    await insert('large', limit - 200)
    const { msg } = await cdc.line('the flow is stalled')
    expect(msg).toContain('insert of organization large: message of ')
    expect(await storedCount(fixture.client, 'entities')).toBe(1)
  })

  test('C-3: stalls at a row that is larger than NATS accepts, and logs its key and the remedy', async () => {
    const cdc = await fixture.start()
    await fixture.database.sql(`INSERT INTO organizations (id, name) VALUES ('huge', repeat('x', 2000000))`)
    const end = await fixture.database.walEnd()
    const { msg } = await cdc.line('the flow is stalled')
    expect(msg).toMatch(
      /^insert of organization huge: message of 20\d+ bytes for organization.create exceeds max_payload \d+ of NATS; raise max_payload; .*PONIX_CDC_ON_ERROR=dead_letter/,
    )
    expect(await fixture.database.confirmed()).toBeLessThan(end)
  })
})

describe('a schema change', () => {
  test('C-7: removes a renamed column from the events until it is renamed back', async () => {
    const cdc = await fixture.start()
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql('ALTER TABLE organizations RENAME name TO title')
    await fixture.database.sql(`UPDATE organizations SET title = 'Other'`)
    await fixture.database.sql('ALTER TABLE organizations RENAME title TO name')
    await fixture.database.sql(`UPDATE organizations SET status = 'inactive'`)
    await fixture.untilStored('entities', 3)
    const names = (await storedEvents(fixture.client, 'entities')).map(({ body }) => decodeOrganization(body).name)
    expect(names).toEqual(['Acme', '', 'Other'])
    await cdc.line('public.organizations has no column name: events are published without it')
  })
})

describe('unusable servers', () => {
  test('C-10: a database without the tables is reported and retried until it has them', async () => {
    await fixture.database.sql('ALTER TABLE gateways RENAME TO gateways_before')
    const cdc = fixture.launch()
    expect((await cdc.line('does not exist')).msg).toBe(
      'the table public.gateways does not exist in this database; run the migrations (ponix-migrate up)',
    )
    await fixture.database.sql('ALTER TABLE gateways_before RENAME TO gateways')
    await cdc.line('streaming changes')
  })

  test('C-10: a slot of another plugin is reported in one line', async () => {
    await fixture.database.sql(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [
      fixture.database.slot,
    ])
    const cdc = fixture.launch()
    await cdc.line('is used for the plugin')
    const lines = cdc.lines.filter(({ msg }) => msg.includes('is used for the plugin test_decoding'))
    expect(lines).toHaveLength(1)
    expect(lines[0]?.msg).toContain('set PONIX_CDC_SLOT_NAME to an unused name')
  })
})
