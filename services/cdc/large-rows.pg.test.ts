import { readFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import type { ServiceProcess } from '../../test/rig/program.ts'
import { CdcFixture, storedCount, storedEvents } from '../../test/rig/services/cdc-rig.ts'

const MAX_MEMORY_MB = 512
const WAIT_MS = 120_000
const LARGE_ROWS = 600
const ORGANIZATION = `INSERT INTO organizations (id, name) VALUES ('org', 'Acme')`

const fixture = new CdcFixture()

/** Returns the peak memory of the service, in MB. */
function peakMemoryOf({ pid }: ServiceProcess): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024
}

/** Returns a statement that inserts a gateway with a text of this size. */
function insertGateway(id: string, megabytes: number): string {
  const config = `jsonb_build_object('text', repeat('x', ${megabytes} * 1000000))`
  return `INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config)
    VALUES ('${id}', 'org', 'print', ${config})`
}

/** Changes another column, so that the row is as large as before, and then removes the text. */
async function updateGateway(id: string): Promise<void> {
  for (const change of [`name = 'South'`, `gateway_config = '{}'`])
    await fixture.database.sql(`UPDATE gateways SET ${change} WHERE gateway_id = '${id}'`)
}

/** Returns the original subjects of the dead letters when there are `count`. */
async function deadLetters(count: number): Promise<readonly string[]> {
  await fixture.untilStored('dead_letters', count)
  const letters = await storedEvents(fixture.client, 'dead_letters')
  return letters.map((letter) => letter.header('Ponix-Original-Subject'))
}

describe(`B-2: less than ${MAX_MEMORY_MB} MB of memory is needed`, () => {
  test(`for the events of ${LARGE_ROWS} existing rows of 1 MB`, async () => {
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(`INSERT INTO gateways (gateway_id, organization_id, gateway_type, gateway_config)
      SELECT 'gw' || n, 'org', 'print', jsonb_build_object('text', repeat('x', 1000000)) FROM generate_series(1, ${LARGE_ROWS}) n`)
    const cdc = await fixture.start({ PONIX_CDC_SNAPSHOT: 'initial' })
    await fixture.untilStored('gateways', LARGE_ROWS, WAIT_MS)
    expect(peakMemoryOf(cdc)).toBeLessThan(MAX_MEMORY_MB)
  }, 180_000)

  test('for the dead letters of a row of 60 MB, and the flow continues', async () => {
    const cdc = await fixture.start({ PONIX_CDC_ON_ERROR: 'dead_letter' })
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(insertGateway('gw', 60))
    await updateGateway('gw')
    await fixture.untilStored('gateways', 1, WAIT_MS)
    expect(await deadLetters(2)).toEqual(['gateway.create gw', 'gateway.update gw'])
    expect(peakMemoryOf(cdc)).toBeLessThan(MAX_MEMORY_MB)
  }, 180_000)

  test('for the dead letter of an existing row of 100 MB', async () => {
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(insertGateway('gw100', 100))
    await fixture.database.sql(insertGateway('small', 0))
    const cdc = await fixture.start({ PONIX_CDC_SNAPSHOT: 'initial', PONIX_CDC_ON_ERROR: 'dead_letter' })
    await fixture.untilStored('gateways', 1, WAIT_MS)
    expect(await deadLetters(1)).toEqual(['gateway.create gw100'])
    expect(peakMemoryOf(cdc)).toBeLessThan(MAX_MEMORY_MB)
  }, 180_000)
})

describe('a row of 100 MB', () => {
  test(`C-3, B-2: stalls the flow with one line; after a restart with dead_letter the flow continues in less than ${MAX_MEMORY_MB} MB, and nothing is lost`, async () => {
    const stalled = await fixture.serve()
    await stalled.process.line('streaming changes')
    await fixture.database.sql(ORGANIZATION)
    await fixture.database.sql(insertGateway('gw100', 100))
    await fixture.database.sql(insertGateway('small', 0))
    const end = await fixture.database.walEnd()
    const { msg } = await stalled.process.line('the flow is stalled')
    expect(msg).toMatch(
      /^insert of gateway gw100: column gateway_config: a text of 1000000\d\d characters, .*PONIX_CDC_ON_ERROR=dead_letter/,
    )
    // Several attempts have been made.
    await expect.poll(() => stalled.metric('ponix_cdc_lag_seconds'), { timeout: WAIT_MS }).toBeGreaterThan(2)
    expect(stalled.countOf('stalled')).toBe(1)
    expect(await stalled.readiness()).toMatch(/^503 .*replication is stalled: insert of gateway gw100/)
    expect(await storedCount(fixture.client, 'gateways')).toBe(0)
    expect(await fixture.database.confirmed()).toBeLessThan(end)
    expect(await stalled.process.stop()).toBe(0)

    const cdc = await fixture.start({ PONIX_CDC_ON_ERROR: 'dead_letter' })
    await updateGateway('gw100')
    await fixture.untilStored('gateways', 2, WAIT_MS)
    expect(await deadLetters(2)).toEqual(['gateway.create gw100', 'gateway.update gw100'])
    expect(peakMemoryOf(cdc)).toBeLessThan(MAX_MEMORY_MB)
    const [letter] = await storedEvents(fixture.client, 'dead_letters')
    const { new: row } = JSON.parse(Buffer.from(letter?.body ?? []).toString())
    expect(row).toMatchObject({ gateway_id: 'gw100', organization_id: 'org', gateway_type: 'print' })
    expect(row.gateway_config).toMatch(/^\{"text": "x+… \(1000000\d\d characters\)$/)
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), 30_000)
  }, 300_000)
})
