import { describe, expect, test, vi } from 'vitest'
import { CaptureFixture, ids, plain, WAIT, ScriptedSink } from '../../../test/rig/adapters/capture-rig.ts'
import type { Change } from './change.ts'

const fixture = new CaptureFixture()

describe('changes', () => {
  test('C-1: inserts, updates, deletes and truncates have the rows before and after the change', async () => {
    await fixture.start()
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.database.sql(`UPDATE items SET name = 'b'`)
    await fixture.database.sql(`DELETE FROM items`)
    await fixture.database.sql(`TRUNCATE items`)
    const changes = await fixture.sink.until(4)
    expect(changes.map(({ operation, old, new: row }) => [operation, plain(old), plain(row)])).toEqual([
      ['insert', null, { id: 1, name: 'a' }],
      ['update', { id: 1, name: 'a' }, { id: 1, name: 'b' }],
      ['delete', { id: 1, name: 'b' }, null],
      ['truncate', null, null],
    ])
    expect(changes.every(({ relation }) => relation.schema === 'public' && relation.table === 'items')).toBe(true)
  })

  test('C-4: every change has its transaction and its index, which are the same when it is sent again', async () => {
    await fixture.start()
    fixture.sink.holds = () => true
    await fixture.database.sql(`BEGIN; INSERT INTO items VALUES (1, 'a'); INSERT INTO items VALUES (2, 'b'); COMMIT`)
    await fixture.database.sql(`INSERT INTO items VALUES (3, 'c')`)
    const changes = [...(await fixture.sink.until(3))]
    expect(changes.map(({ index }) => index)).toEqual([0, 1, 0])
    expect(changes[0]?.transaction).toBe(changes[1]?.transaction)
    const xids = await fixture.database.sql<{ xmin: string }>('SELECT xmin::text FROM items ORDER BY id')
    expect(changes.map(({ transaction }) => String(transaction.xid))).toEqual(xids.map(({ xmin }) => xmin))
    const again = new ScriptedSink()
    await Promise.all([fixture.start(['items'], {}, again), fixture.cutStream()])
    const names = (list: readonly Change[]): unknown => list.map(({ index, transaction }) => ({ index, transaction }))
    expect(names(await again.until(3))).toEqual(names(changes))
  })
})

describe('back-pressure', () => {
  test('C-8: reading stays within the limit during a transaction of 100,000 rows, and nothing is lost', async () => {
    const limits = { items: 1000, bytes: 1024 * 1024 }
    const { capture } = await fixture.start(['items'], { limits })
    fixture.sink.holds = () => true
    await fixture.database.sql(`INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n`)
    await fixture.sink.until(1000)
    await vi.waitUntil(() => fixture.database.serverWaits(), WAIT)
    // The maximum is the limit plus the messages of one read from the socket.
    const ceiling = 1000 + 65_536 / 100
    expect(capture.inFlight).toBeLessThan(ceiling)
    expect(await fixture.database.confirmed()).toBeLessThan(fixture.sink.taken[0]?.transaction.commitLsn ?? 0n)
    let most = 0
    const release = setInterval(() => {
      most = Math.max(most, capture.inFlight)
      fixture.sink.release()
      fixture.sink.holds = () => true
    }, 1)
    await fixture.sink.until(100_000)
    clearInterval(release)
    fixture.sink.release()
    expect(most).toBeLessThan(ceiling)
    expect(ids(fixture.sink.taken)).toEqual(Array.from({ length: 100_000 }, (_, n) => n + 1))
  })
})

describe('values', () => {
  test('C-5: an update of another column contains an unchanged large value', async () => {
    await fixture.database.sql(`CREATE TABLE docs (id int PRIMARY KEY, title text, body text);
      ALTER TABLE docs REPLICA IDENTITY FULL; ALTER TABLE docs ALTER body SET STORAGE EXTERNAL`)
    await fixture.start(['docs', { schema: 'public', table: 'items', oldColumns: [], wantsOldOnUpdate: false }])
    await fixture.database.sql(`INSERT INTO docs VALUES (1, 'a', repeat('0123456789', 10000))`)
    await fixture.database.sql(`UPDATE docs SET title = 'b'`)
    const [, update] = await fixture.sink.until(2)
    expect(update?.new?.get('body')).toBe('0123456789'.repeat(10_000))
    expect(update?.new?.get('title')).toBe('b')
  })

  test('C-7: columns can be added, renamed, dropped and retyped while changes flow', async () => {
    await fixture.start()
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.database.sql(`ALTER TABLE items ADD COLUMN size bigint DEFAULT 7`)
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b', 9007199254740993)`)
    await fixture.database.sql(
      `BEGIN; ALTER TABLE items RENAME name TO title; INSERT INTO items VALUES (3, 'c', 1); COMMIT`,
    )
    await fixture.database.sql(`ALTER TABLE items DROP COLUMN title`)
    await fixture.database.sql(`UPDATE items SET size = 5 WHERE id = 1`)
    await fixture.database.sql(`ALTER TABLE items ALTER size TYPE text`)
    await fixture.database.sql(`INSERT INTO items VALUES (4, 'd')`)
    const changes = await fixture.sink.until(5)
    expect(changes.map(({ new: row }) => plain(row))).toEqual([
      { id: 1, name: 'a' },
      { id: 2, name: 'b', size: 9_007_199_254_740_993n },
      { id: 3, title: 'c', size: 1n },
      { id: 1, size: 5n },
      { id: 4, size: 'd' },
    ])
  })
})
