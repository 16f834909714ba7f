import { expect, test, vi } from 'vitest'
import { parseLsn } from '../../src/postgres/replication/change.ts'
import { decodeOrganization } from '../../src/proto/entities.ts'
import { CdcFixture, storedCount, storedEvents } from '../../test/rig/services/cdc-rig.ts'

const WAIT = { timeout: 30_000, interval: 20 }
const DEAD_LETTERS = { PONIX_CDC_ON_ERROR: 'dead_letter' }
const ROWS = 200

const fixture = new CdcFixture()

/** Changes limits of a stream. */
async function limit(stream: string, limits: { readonly max_msg_size?: number; readonly max_bytes?: number }) {
  const { config } = await fixture.client.manager.streams.info(stream)
  await fixture.client.manager.streams.update(stream, { ...config, ...limits })
}

test(`C-3: ${ROWS / 2} events that the stream rejects become dead letters without a restart of the stream of changes`, async () => {
  const cdc = await fixture.start(DEAD_LETTERS)
  await limit('entities', { max_msg_size: 5000 })
  // Every second event is rejected; each of the others belongs to the same row as its neighbours.
  await fixture.database.sql(`BEGIN; INSERT INTO organizations (id, name) VALUES ('org', '0');
    DO $$ BEGIN FOR n IN 1..${ROWS} LOOP
      UPDATE organizations SET name = CASE WHEN n % 2 = 0 THEN n::text ELSE repeat('x', 9000) END;
    END LOOP; END $$; COMMIT`)
  const end = await fixture.database.walEnd()
  await fixture.untilStored('dead_letters', ROWS / 2)
  await fixture.untilStored('entities', ROWS / 2 + 1)
  const names = (await storedEvents(fixture.client, 'entities')).map(({ body }) => decodeOrganization(body).name)
  expect(names).toEqual(Array.from({ length: ROWS / 2 + 1 }, (_, n) => String(2 * n)))
  const letters = await storedEvents(fixture.client, 'dead_letters')
  expect(new Set(letters.map((letter) => letter.header('Ponix-Original-Subject')))).toEqual(
    new Set(['organization.update org']),
  )
  expect(letters[0]?.header('Ponix-Reason')).toContain('JetStream rejected a message on organization.update')
  await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
  expect(cdc.lines.filter(({ msg }) => msg.includes('could not store'))).toEqual([])
})

test('C-3: the position waits for dead letters, and those that wait delay no later event', async () => {
  await fixture.start(DEAD_LETTERS)
  await limit('entities', { max_msg_size: 5000 })
  await limit('dead_letters', { max_bytes: 1 })
  await fixture.database.sql(`INSERT INTO organizations (id, name)
    SELECT 'org' || n, CASE n WHEN 20 THEN '' ELSE repeat('x', 9000) END FROM generate_series(1, ${ROWS}) n`)
  await fixture.untilStored('entities', 1)
  // The changes after it are still being sent, one after the other. These cannot become events, but the last one can.
  await fixture.database.sql(`INSERT INTO organizations (id, created_at) SELECT 'late' || n, '12000-01-01'
    FROM generate_series(1, 20) n`)
  await fixture.database.sql(`INSERT INTO organizations (id) VALUES ('last')`)
  const end = await fixture.database.walEnd()
  await fixture.untilStored('entities', 2)
  expect(await storedCount(fixture.client, 'dead_letters')).toBe(0)
  // PostgreSQL repeats a transaction unless its commit is confirmed; positions before the commit may be.
  const [event] = await storedEvents(fixture.client, 'entities')
  expect(await fixture.database.confirmed()).toBeLessThan(parseLsn(event?.header('Ponix-Lsn') ?? ''))
  await limit('dead_letters', { max_bytes: -1 })
  await fixture.untilStored('dead_letters', ROWS - 1 + 20)
  await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
})
