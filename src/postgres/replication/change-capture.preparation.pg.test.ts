import { describe, expect, test, vi } from 'vitest'
import { forgetSlot } from './slot-administration.ts'
import { CaptureFixture, ids, plain, WAIT, ScriptedSink } from '../../../test/rig/adapters/capture-rig.ts'

const fixture = new CaptureFixture()

describe('the publication', () => {
  test('C-2: is created, and a table that is captured later is added', async () => {
    const first = await fixture.start()
    await first.stop()
    await fixture.database.sql('CREATE TABLE more (id int PRIMARY KEY)')
    await fixture.start(['items', 'more'])
    await fixture.database.sql('INSERT INTO more VALUES (1)')
    const [change] = await fixture.sink.until(1)
    expect(change?.relation.table).toBe('more')
  })

  test('C-10: may contain other tables, whose changes are passed to the caller, which skips them', async () => {
    await fixture.database.sql('CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION tested FOR TABLE other')
    await fixture.start()
    await fixture.database.sql('INSERT INTO other VALUES (1)')
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect((await fixture.sink.until(2)).map(({ relation }) => relation.table)).toEqual(['other', 'items'])
  })

  test.each([
    ['a column list', 'FOR TABLE items (id)', /omits columns of public.items that events need: name; run: ALTER/],
    ['a row filter', 'FOR TABLE items WHERE (id > 5)', /filters the rows of public.items: .*; run: ALTER PUBLICATION/],
    ['few operations', `FOR TABLE items WITH (publish = 'insert')`, /omits some operations; run: ALTER PUBLICATION/],
  ])('C-10: is rejected with %s', async (_case, definition, line) => {
    await fixture.database.sql(`CREATE PUBLICATION tested ${definition}`)
    const table = { schema: 'public', table: 'items', oldColumns: ['id', 'name'] }
    expect((await fixture.launch([table]).failure()).message).toMatch(line)
  })

  test('C-10: a table whose old rows lack needed columns is rejected before anything starts', async () => {
    await fixture.database.sql('ALTER TABLE items REPLICA IDENTITY DEFAULT')
    const table = { schema: 'public', table: 'items', oldColumns: ['id', 'name'] }
    const { message } = await fixture.launch([table]).failure()
    expect(message).toBe(
      'old rows of public.items lack name, which the events need; run: ALTER TABLE "public"."items" REPLICA IDENTITY FULL',
    )
    expect(
      await fixture.database.sql('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [fixture.database.slot]),
    ).toEqual([])
  })

  test('C-10: a key suffices as replica identity if only its columns are needed', async () => {
    await fixture.database.sql('ALTER TABLE items REPLICA IDENTITY DEFAULT')
    await fixture.start([{ schema: 'public', table: 'items', oldColumns: ['id'] }])
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a'); DELETE FROM items`)
    const [, deletion] = await fixture.sink.until(2)
    expect(plain(deletion?.old)).toEqual({ id: 1 })
  })

  test('C-10: capturing waits for a missing table', async () => {
    const capture = fixture.start(['late'])
    await fixture.database.sql('CREATE TABLE late (id int PRIMARY KEY)')
    await capture
    await fixture.database.sql('INSERT INTO late VALUES (1)')
    expect((await fixture.sink.until(1)).map(({ relation }) => relation.table)).toEqual(['late'])
  })

  test('C-10: a publication that is dropped while changes flow is reported, and ponix-cdc forget continues', async () => {
    const { database, sink } = fixture
    const capture = await fixture.start()
    await database.sql('DROP PUBLICATION tested')
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    const { message } = await capture.failure('publication')
    expect(message).toMatch(
      /^the publication tested did not exist when the next changes in .* were made; .* run ponix-cdc forget$/,
    )
    await vi.waitFor(() => forgetSlot(database.server, database.slot), WAIT)
    await vi.waitUntil(() => capture.capture.failure === undefined, WAIT)
    await vi.waitUntil(async () => (await database.confirmed()) > 0n, WAIT)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect(ids(await sink.until(1))).toEqual([2])
  })
})

describe('the slot', () => {
  test('C-10: is awaited while in use, and the standby takes over without loss', async () => {
    const leader = await fixture.start()
    const second = new ScriptedSink()
    const standby = fixture.launch(['items'], {}, second)
    await vi.waitUntil(() => standby.capture.state === 'standby', WAIT)
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.sink.until(1)
    await leader.stop()
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect(ids(await second.until(1))).toEqual([2])
    expect(standby.capture.retries).toBe(0)
  })

  test('C-10: a standby stops on request', async () => {
    await fixture.start()
    const standby = fixture.launch(['items'], {}, new ScriptedSink())
    await vi.waitUntil(() => standby.capture.state === 'standby', WAIT)
    await standby.stop()
    expect(standby.capture.state).toBe('stopped')
  })

  test('C-10: is not created again silently after it was dropped', async () => {
    const first = await fixture.start()
    await first.stop()
    await fixture.database.dropSlot()
    expect(await fixture.launch().failure()).toMatchObject({
      code: 'slot_lost',
      message: expect.stringMatching(/is missing: .*; run ponix-cdc resnapshot .*, or ponix-cdc forget/),
    })
    expect(await fixture.database.confirmed()).toBe(0n)
  })

  test('C-10: is created again after ponix-cdc forget', async () => {
    const { database, sink } = fixture
    const first = await fixture.start()
    await expect(forgetSlot(database.server, database.slot)).rejects.toMatchObject({ code: 'slot_in_use' })
    await first.stop()
    await database.dropSlot()
    const { capture, failure } = fixture.launch()
    expect((await failure()).code).toBe('slot_lost')
    expect(await forgetSlot(database.server, database.slot)).toBe(false)
    await vi.waitUntil(() => capture.state === 'streaming', WAIT)
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    expect(ids(await sink.until(1))).toEqual([1])
  })

  test('C-10: is rejected when it is of another kind', async () => {
    await fixture.database.sql('SELECT pg_create_physical_replication_slot($1)', [fixture.database.slot])
    expect((await fixture.launch().failure()).code).toBe('slot_foreign')
    await fixture.database.dropSlot()
  })

  test('C-10: is streamed again after a broken connection', async () => {
    const { capture } = await fixture.start()
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.sink.until(1)
    await fixture.cutStream()
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await vi.waitUntil(() => ids(fixture.sink.taken).includes(2), WAIT)
    expect(capture.retries).toBeGreaterThan(0)
  })
})

describe('invalid configurations', () => {
  test('C-10: a slot of another plugin is rejected and reported', async () => {
    await fixture.database.sql(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [
      fixture.database.slot,
    ])
    const { message } = await fixture.launch().failure()
    expect(message).toContain(
      `the replication slot ${fixture.database.slot} is used for the plugin test_decoding in database ${fixture.database.server.database}`,
    )
    expect(await fixture.database.confirmed()).toBeGreaterThan(0n)
  })

  test('C-5: a table without a primary key is captured with REPLICA IDENTITY FULL', async () => {
    await fixture.database.sql('CREATE TABLE keyless (n int); ALTER TABLE keyless REPLICA IDENTITY FULL')
    await fixture.start([{ schema: 'public', table: 'keyless', oldColumns: ['n'] }])
    await fixture.database.sql('INSERT INTO keyless VALUES (1)')
    await fixture.database.sql('UPDATE keyless SET n = 2')
    await fixture.database.sql('DELETE FROM keyless')
    const changes = await fixture.sink.until(3)
    expect(changes.map(({ old, new: row }) => [old?.get('n'), row?.get('n')])).toEqual([
      [undefined, 1],
      [1, 2],
      [2, undefined],
    ])
  })

  test('C-10: a table without a primary key and with the default replica identity is rejected', async () => {
    await fixture.database.sql('CREATE TABLE keyless (n int)')
    const { message } = await fixture.launch([{ schema: 'public', table: 'keyless', oldColumns: ['n'] }]).failure()
    expect(message).toContain('run: ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL')
  })
})

describe('permissions', () => {
  test('C-10: a role that does not own a table is reported with the statement for the owner to run', async () => {
    const foreign = { schema: 'information_schema', table: 'sql_features', oldColumns: [] }
    expect(await fixture.launch([foreign]).failure()).toMatchObject({
      code: 'rights',
      message: expect.stringContaining(
        'run: CREATE PUBLICATION "tested" FOR TABLE "information_schema"."sql_features"',
      ),
    })
  })

  test('C-10: a wrong password is reported', async () => {
    const { failure } = fixture.launch(['items'], { server: { ...fixture.database.server, password: 'wrong' } })
    expect((await failure()).code).toBe('login')
  })
})
