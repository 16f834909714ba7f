import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import type { CapturedTable } from './captured-table.ts'
import type { CaptureOptions } from './change-capture.ts'
import type { Change } from './change.ts'
import { ScriptedSink, startCapture, TestDatabase, type RunningCapture } from './replication-rig.ts'
import type { Row } from './row.ts'

const WAIT = { timeout: 20_000, interval: 10 }

let database: TestDatabase
let sink: ScriptedSink
const running: RunningCapture[] = []

beforeEach(async () => {
  database = await TestDatabase.create(inject('postgres'))
  sink = new ScriptedSink()
  await database.sql('CREATE TABLE items (id int PRIMARY KEY, name text); ALTER TABLE items REPLICA IDENTITY FULL')
})

afterEach(async () => {
  for (const capture of running.splice(0)) await capture[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** Starts, and resolves when the stream runs. */
async function start(
  tables: readonly (string | CapturedTable)[] = ['items'],
  options: Partial<CaptureOptions> = {},
  taker = sink,
): Promise<RunningCapture> {
  const capture = startCapture(database, tables, taker, options)
  running.push(capture)
  const streaming = vi.waitUntil(() => capture.capture.state === 'streaming', WAIT)
  await Promise.race([streaming, capture.finished.catch(() => undefined)])
  return capture
}

const ids = (changes: readonly Change[]): unknown[] => changes.map(({ old, new: row }) => (row ?? old)?.get('id'))
const plain = (row: Row | null | undefined): unknown => (row ? Object.fromEntries(row.entries()) : row)

describe('changes', () => {
  test('C-1: inserts, updates, deletes and truncates arrive with the rows before and after', async () => {
    await start()
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`UPDATE items SET name = 'b'`)
    await database.sql(`DELETE FROM items`)
    await database.sql(`TRUNCATE items`)
    const changes = await sink.until(4)
    expect(changes.map(({ operation, old, new: row }) => [operation, plain(old), plain(row)])).toEqual([
      ['insert', null, { id: 1, name: 'a' }],
      ['update', { id: 1, name: 'a' }, { id: 1, name: 'b' }],
      ['delete', { id: 1, name: 'b' }, null],
      ['truncate', null, null],
    ])
    expect(changes.every(({ relation }) => relation.schema === 'public' && relation.table === 'items')).toBe(true)
  })

  test('C-4: every change knows its transaction and its place in it, the same on a second reading', async () => {
    await start()
    sink.holds = () => true
    await database.sql(`BEGIN; INSERT INTO items VALUES (1, 'a'); INSERT INTO items VALUES (2, 'b'); COMMIT`)
    await database.sql(`INSERT INTO items VALUES (3, 'c')`)
    const changes = [...(await sink.until(3))]
    expect(changes.map(({ index }) => index)).toEqual([0, 1, 0])
    expect(changes[0]?.transaction).toBe(changes[1]?.transaction)
    const xids = await database.sql<{ xmin: string }>('SELECT xmin::text FROM items ORDER BY id')
    expect(changes.map(({ transaction }) => String(transaction.xid))).toEqual(xids.map(({ xmin }) => xmin))
    const again = new ScriptedSink()
    await Promise.all([start(['items'], {}, again), cutStream()])
    const names = (list: readonly Change[]): unknown => list.map(({ index, transaction }) => ({ index, transaction }))
    expect(names(await again.until(3))).toEqual(names(changes))
  })
})

describe('confirmation', () => {
  test('C-3: nothing is confirmed before it is stored, whatever else happens in the meantime', async () => {
    await start()
    sink.holds = () => true
    await database.sql('CREATE TABLE noise (n int)')
    const witness = `${database.slot}_witness`
    await start(['noise'], { slot: witness, publication: 'noisy' }, new ScriptedSink())
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await sink.until(1)
    const committed = sink.taken[0]?.transaction.commitLsn ?? 0n
    for (let round = 0; round < 5; round += 1) {
      await database.sql('INSERT INTO noise VALUES (1)')
      const end = await database.walEnd()
      await vi.waitFor(async () => expect(await database.confirmed(witness)).toBeGreaterThanOrEqual(end), WAIT)
      expect(await database.confirmed()).toBeLessThanOrEqual(committed)
    }
    sink.release()
    await vi.waitFor(async () => expect(await database.confirmed()).toBeGreaterThan(committed), WAIT)
  })

  test('C-3: the transaction right behind a confirmed one is not confirmed with it', async () => {
    const first = await start()
    sink.holds = ({ new: row }) => row?.get('id') === 2
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await sink.until(2)
    await first.stop()
    const after = new ScriptedSink()
    await start(['items'], {}, after)
    expect(ids(await after.until(1))).toEqual([2])
  })

  test('C-3: of a transaction that is stored in part all comes again', async () => {
    const first = await start()
    sink.holds = ({ index }) => index === 2
    await database.sql(`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 3) n`)
    await sink.until(3)
    await first.stop()
    const after = new ScriptedSink()
    await start(['items'], {}, after)
    expect(ids(await after.until(3))).toEqual([1, 2, 3])
  })

  test('C-3: a refused change stops the stream; it comes again, and nothing behind it is skipped', async () => {
    let refusals = 2
    sink.holds = ({ new: row }) => {
      if (row?.get('id') === 2 && refusals-- > 0) throw new Error('no room')
      return false
    }
    const { capture } = await start()
    await database.sql(`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 3) n`)
    await vi.waitUntil(() => sink.stored.some(({ new: row }) => row?.get('id') === 2), WAIT)
    expect(capture.retries).toBe(2)
    await vi.waitFor(async () => {
      expect(await database.confirmed()).toBeGreaterThan(sink.taken[0]?.transaction.commitLsn ?? 0n)
    }, WAIT)
  })

  test('C-10: after too many refusals in a row it gives up and says why', async () => {
    sink.holds = () => {
      throw new Error('no room')
    }
    const { finished } = await start(['items'], { retry: { maxDelayMs: 20, maxAttempts: 3 } })
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await expect(finished).rejects.toThrow(
      /^gave up after 3 attempts in a row: the insert 0 of transaction \d+ on public.items could not be stored: no room$/,
    )
    expect(sink.taken.length).toBeGreaterThanOrEqual(4)
  })

  test('C-9: an idle table on a busy database does not hold back the log', async () => {
    await start()
    await database.sql('CREATE TABLE noise (n int)')
    await database.sql('INSERT INTO noise SELECT generate_series(1, 1000)')
    const end = await database.walEnd()
    await vi.waitFor(async () => expect(await database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
    expect(sink.taken).toHaveLength(0)
  })

  test('C-9: a heartbeat comes through the log of an idle publication, and the slot moves on with it', async () => {
    const { capture } = await start(['items'], { heartbeatMs: 20 })
    await vi.waitUntil(() => capture.lastHeartbeatMs !== undefined, WAIT)
    const first = capture.lastHeartbeatMs ?? 0
    const end = await database.walEnd()
    await vi.waitUntil(() => (capture.lastHeartbeatMs ?? 0) > first, WAIT)
    await vi.waitFor(async () => expect(await database.confirmed()).toBeGreaterThan(end), WAIT)
    expect(sink.taken).toHaveLength(0)
  })

  test('C-9: a heartbeat behind what is not stored yet confirms nothing', async () => {
    const { capture } = await start(['items'], { heartbeatMs: 20 })
    sink.holds = () => true
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    const [held] = await sink.until(1)
    const before = Date.now()
    await vi.waitUntil(() => (capture.lastHeartbeatMs ?? 0) > before, WAIT)
    expect(await database.confirmed()).toBeLessThanOrEqual(held?.transaction.commitLsn ?? 0n)
  })

  test('C-14: a graceful end stores what was read and confirms it, and a new start has nothing to repeat', async () => {
    const first = await start(['items'], { shutdownTimeoutMs: 20_000 })
    sink.holds = () => true
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await sink.until(1)
    const stopped = first.stop()
    // An end that did not wait would be over by then.
    for (let times = 0; times < 50; times += 1) await database.confirmed()
    sink.release()
    await stopped
    expect(await database.confirmed()).toBeGreaterThan(sink.taken[0]?.transaction.commitLsn ?? 0n)
    const after = new ScriptedSink()
    await start(['items'], {}, after)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect(ids(await after.until(1))).toEqual([2])
  })

  test('C-12: a full batch is confirmed at once, a smaller one after the time', async () => {
    await start(['items'], { confirm: { changes: 3, ms: 3_600_000 } })
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await sink.until(2)
    const before = await database.confirmed()
    expect(before).toBeLessThan(sink.taken[0]?.transaction.commitLsn ?? 0n)
    await database.sql(`INSERT INTO items VALUES (3, 'c')`)
    await vi.waitFor(async () => expect(await database.confirmed()).toBeGreaterThan(before), WAIT)
    expect(await database.confirmed()).toBeGreaterThan(sink.taken[2]?.transaction.commitLsn ?? 0n)
  })
})

describe('back-pressure', () => {
  test('C-8: in one transaction of 100,000 rows no more is read than the limit, and nothing is lost', async () => {
    const limits = { maxMessages: 1000, maxBytes: 1024 * 1024 }
    const { capture } = await start(['items'], { limits })
    sink.holds = () => true
    await database.sql(`INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n`)
    await sink.until(1000)
    await vi.waitUntil(() => database.serverWaits(), WAIT)
    // The limit, and what one read of the socket brings besides.
    const ceiling = 1000 + 65_536 / 100
    expect(capture.inFlight).toBeLessThan(ceiling)
    expect(await database.confirmed()).toBeLessThan(sink.taken[0]?.transaction.commitLsn ?? 0n)
    let most = 0
    const release = setInterval(() => {
      most = Math.max(most, capture.inFlight)
      sink.release()
      sink.holds = () => true
    }, 1)
    await sink.until(100_000)
    clearInterval(release)
    sink.release()
    expect(most).toBeLessThan(ceiling)
    expect(ids(sink.taken)).toEqual(Array.from({ length: 100_000 }, (_, n) => n + 1))
  })
})

describe('values', () => {
  test('C-5: an unchanged large value arrives with an update of another column', async () => {
    await database.sql(`CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
      ALTER TABLE docs REPLICA IDENTITY FULL; ALTER TABLE docs ALTER body SET STORAGE EXTERNAL`)
    await start(['docs', { schema: 'public', table: 'items', oldColumns: [], wantsOldOnUpdate: false }])
    await database.sql(`INSERT INTO docs VALUES (1, 'a', repeat('0123456789', 10000))`)
    await database.sql(`UPDATE docs SET title = 'b'`)
    const [, update] = await sink.until(2)
    expect(update?.new?.get('body')).toBe('0123456789'.repeat(10_000))
    expect(update?.new?.get('title')).toBe('b')
  })

  test('C-7: columns that are added, renamed, dropped and retyped in mid-flow neither stop nor mix up the rows', async () => {
    await start()
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await database.sql(`ALTER TABLE items ADD COLUMN size bigint DEFAULT 7`)
    await database.sql(`INSERT INTO items VALUES (2, 'b', 9007199254740993)`)
    await database.sql(`BEGIN; ALTER TABLE items RENAME name TO title; INSERT INTO items VALUES (3, 'c', 1); COMMIT`)
    await database.sql(`ALTER TABLE items DROP COLUMN title`)
    await database.sql(`UPDATE items SET size = 5 WHERE id = 1`)
    await database.sql(`ALTER TABLE items ALTER size TYPE text`)
    await database.sql(`INSERT INTO items VALUES (4, 'd')`)
    const changes = await sink.until(5)
    expect(changes.map(({ new: row }) => plain(row))).toEqual([
      { id: 1, name: 'a' },
      { id: 2, name: 'b', size: 9_007_199_254_740_993n },
      { id: 3, title: 'c', size: 1n },
      { id: 1, size: 5n },
      { id: 4, size: 'd' },
    ])
  })
})

describe('the publication', () => {
  test('C-2: is created, and a table that is captured later is added', async () => {
    const first = await start()
    await first.stop()
    await database.sql('CREATE TABLE more (id int PRIMARY KEY)')
    await start(['items', 'more'])
    await database.sql('INSERT INTO more VALUES (1)')
    const [change] = await sink.until(1)
    expect(change?.relation.table).toBe('more')
  })

  test('C-10: one that carries other tables too is used; what those change is handed over for the taker to skip', async () => {
    await database.sql('CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION tested FOR TABLE other')
    await start()
    await database.sql('INSERT INTO other VALUES (1)')
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect((await sink.until(2)).map(({ relation }) => relation.table)).toEqual(['other', 'items'])
  })

  test.each([
    ['a column list', 'FOR TABLE items (id)', /leaves out columns of public.items that events need: name; run: ALTER/],
    ['a row filter', 'FOR TABLE items WHERE (id > 5)', /filters the rows of public.items: .*; run: ALTER PUBLICATION/],
    [
      'few operations',
      `FOR TABLE items WITH (publish = 'insert')`,
      /leaves out some operations; run: ALTER PUBLICATION/,
    ],
  ])('C-10: one with %s is refused', async (_what, how, line) => {
    await database.sql(`CREATE PUBLICATION tested ${how}`)
    const table = { schema: 'public', table: 'items', oldColumns: ['id', 'name'] }
    await expect((await start([table])).finished).rejects.toThrow(line)
  })

  test('C-10: a table whose old rows do not carry what is needed is refused before anything starts', async () => {
    await database.sql('ALTER TABLE items REPLICA IDENTITY DEFAULT')
    const table = { schema: 'public', table: 'items', oldColumns: ['id', 'name'] }
    const { finished } = await start([table])
    await expect(finished).rejects.toThrow(
      'old rows of public.items do not carry name, which the events need; run: ALTER TABLE "public"."items" REPLICA IDENTITY FULL',
    )
    expect(await database.sql('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [database.slot])).toEqual([])
  })

  test('C-10: with a key as identity, what is in the key is enough', async () => {
    await database.sql('ALTER TABLE items REPLICA IDENTITY DEFAULT')
    await start([{ schema: 'public', table: 'items', oldColumns: ['id'] }])
    await database.sql(`INSERT INTO items VALUES (1, 'a'); DELETE FROM items`)
    const [, deletion] = await sink.until(2)
    expect(plain(deletion?.old)).toEqual({ id: 1 })
  })

  test('C-10: a table that is not there yet is waited for', async () => {
    const capture = start(['late'])
    await database.sql('CREATE TABLE late (id int PRIMARY KEY)')
    await capture
    await database.sql('INSERT INTO late VALUES (1)')
    expect((await sink.until(1)).map(({ relation }) => relation.table)).toEqual(['late'])
  })

  test('C-10: a publication that is dropped in mid-flow is told in one line', async () => {
    const { finished } = await start()
    await database.sql('DROP PUBLICATION tested')
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await expect(finished).rejects.toThrow(
      /^the publication tested did not exist when the next changes in .* were made; .* run: SELECT/,
    )
  })
})

describe('the slot', () => {
  test('C-10: one in use is waited for; the standby takes over and misses nothing', async () => {
    const leader = await start()
    const second = new ScriptedSink()
    const standby = startCapture(database, ['items'], second)
    running.push(standby)
    await vi.waitUntil(() => standby.capture.state === 'standby', WAIT)
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await sink.until(1)
    await leader.stop()
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect(ids(await second.until(1))).toEqual([2])
    expect(standby.capture.retries).toBe(0)
  })

  test('C-10: a standby ends when it is asked to', async () => {
    await start()
    const standby = startCapture(database, ['items'], new ScriptedSink())
    await vi.waitUntil(() => standby.capture.state === 'standby', WAIT)
    await standby.stop()
    expect(standby.capture.state).toBe('stopped')
  })

  test('C-10: one that was dropped is never made again in silence', async () => {
    const first = await start()
    await first.stop()
    await database.sql('SELECT pg_drop_replication_slot($1)', [database.slot])
    const { finished } = await start()
    await expect(finished).rejects.toMatchObject({
      code: 'slot_lost',
      message: expect.stringMatching(/is gone: .* run: COMMENT ON/),
    })
    expect(await database.confirmed()).toBe(0n)
  })

  test('C-10: the statement in that line is the way to go on', async () => {
    const first = await start()
    await first.stop()
    await database.sql('SELECT pg_drop_replication_slot($1)', [database.slot])
    const failure: unknown = await (await start()).finished.catch((error: unknown) => error)
    await database.sql(/ run: (.*)$/.exec(String(failure))?.[1] ?? '')
    await start()
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    expect(ids(await sink.until(1))).toEqual([1])
  })

  test('C-10: one of another plugin or kind is left alone', async () => {
    await database.sql('SELECT pg_create_physical_replication_slot($1)', [database.slot])
    const { finished } = await start()
    await expect(finished).rejects.toMatchObject({ code: 'slot_foreign' })
    await database.sql('SELECT pg_drop_replication_slot($1)', [database.slot])
  })

  test('C-10: a broken connection is made again and the stream goes on', async () => {
    const { capture } = await start()
    await database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await sink.until(1)
    await cutStream()
    await database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await vi.waitUntil(() => ids(sink.taken).includes(2), WAIT)
    expect(capture.retries).toBeGreaterThan(0)
  })
})

describe('bad input', () => {
  test('C-10: a slot of another plugin is left alone, and said to be one', async () => {
    await database.sql(`SELECT pg_create_logical_replication_slot($1, 'test_decoding')`, [database.slot])
    const { finished } = await start()
    await expect(finished).rejects.toThrow(
      `the replication slot ${database.slot} is used for the plugin test_decoding in database ${database.server.database}`,
    )
    expect(await database.confirmed()).toBeGreaterThan(0n)
  })

  test('C-5: a table without a primary key is captured, for its rows are carried whole', async () => {
    await database.sql('CREATE TABLE keyless (n int); ALTER TABLE keyless REPLICA IDENTITY FULL')
    await start([{ schema: 'public', table: 'keyless', oldColumns: ['n'] }])
    await database.sql('INSERT INTO keyless VALUES (1)')
    await database.sql('UPDATE keyless SET n = 2')
    await database.sql('DELETE FROM keyless')
    const changes = await sink.until(3)
    expect(changes.map(({ old, new: row }) => [old?.get('n'), row?.get('n')])).toEqual([
      [undefined, 1],
      [1, 2],
      [2, undefined],
    ])
  })

  test('C-10: without a primary key and without whole rows it is refused', async () => {
    await database.sql('CREATE TABLE keyless (n int)')
    const { finished } = await start([{ schema: 'public', table: 'keyless', oldColumns: ['n'] }])
    await expect(finished).rejects.toThrow('run: ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL')
  })
})

describe('rights', () => {
  test('C-10: who does not own a table is told which statement its owner has to run', async () => {
    const foreign = { schema: 'information_schema', table: 'sql_features', oldColumns: [] }
    const { finished } = await start([foreign])
    await expect(finished).rejects.toMatchObject({
      code: 'rights',
      message: expect.stringContaining(
        'run: CREATE PUBLICATION "tested" FOR TABLE "information_schema"."sql_features"',
      ),
    })
  })

  test('C-10: a wrong password is not tried again', async () => {
    const { finished, capture } = await start(['items'], { server: { ...database.server, password: 'wrong' } })
    await expect(finished).rejects.toMatchObject({ code: 'login' })
    expect(capture.retries).toBe(0)
  })
})

/** Ends the stream that runs now, from the server's side. */
async function cutStream(): Promise<void> {
  await database.sql('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
    database.slot,
  ])
}
