import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import type { CaptureOptions } from './change-capture.ts'
import type { CapturedTable, Change } from './change.ts'
import {
  ScriptedSink,
  startCapture,
  TestDatabase,
  type RunningCapture,
} from '../../../test/rig/adapters/capture-rig.ts'
import { readSlotStatus, requestSnapshot } from './slot-administration.ts'

const WAIT = { timeout: 20_000, interval: 10 }
const ITEMS: CapturedTable = { schema: 'public', table: 'items', key: 'id', oldColumns: [] }

let database: TestDatabase
const running: RunningCapture[] = []

beforeEach(async () => {
  database = await TestDatabase.create(inject('postgres'))
  await database.sql('CREATE TABLE items (id int PRIMARY KEY, name text); ALTER TABLE items REPLICA IDENTITY FULL')
})

afterEach(async () => {
  for (const capture of running.splice(0)) await capture[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

function launch(sink: ScriptedSink, options: Partial<CaptureOptions> = {}): RunningCapture {
  const capture = startCapture(database, [ITEMS], sink, { snapshot: 'initial', ...options })
  running.push(capture)
  return capture
}

const idOf = ({ old, new: row }: Change): unknown => (row ?? old)?.get('id')
const nameOf = ({ new: row }: Change): unknown => row?.get('name')
const rows = (from: number, to: number): Promise<unknown> =>
  database.sql(`INSERT INTO items SELECT n, 'x' || n FROM generate_series(${from}, ${to}) n`)

/** Applies changes in order to a table, which must be in the state that each of them expects. */
function replay(changes: readonly Change[]): ReadonlyMap<unknown, unknown> {
  const table = new Map<unknown, unknown>()
  for (const change of changes) {
    const id = idOf(change)
    expect(table.has(id), `${change.operation} of ${String(id)}`).toBe(change.operation !== 'insert')
    if (change.operation === 'delete') table.delete(id)
    else table.set(id, nameOf(change))
  }
  return table
}

describe('a snapshot', () => {
  test('C-11: contains every row once as of the start of the slot, and the stream continues exactly from there', async () => {
    await rows(1, 2500)
    const sink = new ScriptedSink()
    sink.holds = ({ index, transaction }) => transaction.snapshot !== undefined && index === 1200
    const { capture } = launch(sink)
    await sink.until(1201)
    // A commit can be exactly at the slot's start, and consumers keep the newer state.
    expect(sink.taken[0]?.transaction.commitLsn).toBeLessThan(await database.confirmed())
    await database.sql(`UPDATE items SET name = 'changed' WHERE id % 100 = 0`)
    await database.sql(`DELETE FROM items WHERE id % 100 = 1`)
    await rows(2501, 2510)
    sink.release()
    await sink.until(2500 + 25 + 25 + 10)
    const present = await database.sql<{ id: number; name: string }>('SELECT * FROM items')
    expect(replay(sink.taken)).toEqual(new Map(present.map((row) => [row.id, row.name])))
    expect(sink.taken.slice(0, 2500).every(({ transaction }) => transaction.snapshot !== undefined)).toBe(true)
    expect(capture.state).toBe('streaming')
  })

  test('C-11: continues after the stored rows when interrupted, and misses no change made in the meantime', async () => {
    await rows(1, 2500)
    const first = new ScriptedSink()
    first.holds = ({ index }) => index === 1500
    const cut = launch(first)
    await first.until(1501)
    await cut.stop()
    await database.sql(`UPDATE items SET name = 'changed' WHERE id IN (7, 2400)`)
    const after = new ScriptedSink()
    launch(after, { snapshot: 'never' })
    await after.until(1500 + 2)
    const existing = after.taken.filter(({ transaction }) => transaction.snapshot !== undefined)
    expect(existing.map(idOf)).toEqual(Array.from({ length: 1500 }, (_, n) => n + 1001))
    expect(after.taken.slice(1500).map((change) => [idOf(change), nameOf(change)])).toEqual([
      [7, 'changed'],
      [2400, 'changed'],
    ])
    expect(new Set(existing.map(({ transaction }) => transaction.snapshot))).toEqual(
      new Set(first.taken.map(({ transaction }) => transaction.snapshot)),
    )
  })

  test('C-11: waits for rows that are not stored longer than statement_timeout', async () => {
    await database.sql(`ALTER DATABASE ${database.server.database} SET statement_timeout = '1s'`)
    await database.sql(`INSERT INTO items SELECT n, repeat('x', 10000) FROM generate_series(1, 3000) n`)
    const sink = new ScriptedSink()
    sink.holds = () => true
    const { capture } = launch(sink)
    const statement = `SELECT query FROM pg_stat_activity WHERE application_name = 'ponix-cdc snapshot' AND datname = $1
      AND state = 'active' AND query_start < now() - interval '2 s'`
    await vi.waitUntil(async () => (await database.sql(statement, [database.server.database])).length > 0, WAIT)
    expect(sink.taken).toHaveLength(1000)
    sink.release()
    await sink.until(3000)
    expect(capture.retries).toBe(0)
    expect(sink.taken.map(idOf)).toEqual(Array.from({ length: 3000 }, (_, n) => n + 1))
  })

  test('C-11: sends a rejected row again before the stream starts', async () => {
    await rows(1, 3)
    const sink = new ScriptedSink()
    let refusals = 2
    sink.holds = (change) => {
      if (idOf(change) === 2 && refusals-- > 0) throw new Error('no room')
      return false
    }
    launch(sink)
    await sink.until(3)
    await rows(4, 4)
    const streamed = ({ transaction }: Change): boolean => transaction.snapshot === undefined
    await vi.waitUntil(() => sink.stored.some(streamed), WAIT)
    expect(new Set(sink.stored.map(idOf))).toEqual(new Set([1, 2, 3, 4]))
    expect(sink.stored.slice(-1).map(idOf)).toEqual([4])
  })

  test('C-11: is taken by only one of two instances, once', async () => {
    await rows(1, 3)
    const sink = new ScriptedSink()
    sink.holds = () => true
    const leader = launch(sink)
    await sink.until(3)
    const second = new ScriptedSink()
    const standby = launch(second)
    await vi.waitUntil(() => standby.capture.state === 'standby', WAIT)
    sink.release()
    await vi.waitUntil(() => [leader, standby].some(({ capture }) => capture.state === 'streaming'), WAIT)
    await rows(4, 4)
    await vi.waitUntil(() => sink.taken.length + second.taken.length === 4, WAIT)
    expect([...sink.taken, ...second.taken].map(idOf)).toEqual([1, 2, 3, 4])
  })

  test('C-11: is taken only on request, and only once', async () => {
    await rows(1, 3)
    const never = new ScriptedSink()
    await using first = launch(never, { snapshot: 'never' })
    await vi.waitUntil(() => first.capture.state === 'streaming', WAIT)
    await first.stop()
    const sink = new ScriptedSink()
    launch(sink)
    await rows(4, 4)
    expect((await sink.until(1)).map(idOf)).toEqual([4])
    expect(never.taken).toEqual([])
  })
})

describe('the command resnapshot', () => {
  test('C-11: sends the existing rows and every change that the slot still holds', async () => {
    await rows(1, 3)
    const never = launch(new ScriptedSink(), { snapshot: 'never' })
    await vi.waitUntil(() => never.capture.state === 'streaming', WAIT)
    await never.stop()
    await database.sql('DELETE FROM items WHERE id = 1')
    expect(await requestSnapshot(database.server, database.slot)).toBe('kept')
    expect(await readSlotStatus(database.server, database.slot)).toMatchObject({
      slot: { active: false },
      snapshot: { done: [] },
    })
    const sink = new ScriptedSink()
    launch(sink, { snapshot: 'never' })
    const changes = await sink.until(3)
    expect(changes.map((change) => [change.operation, idOf(change)])).toEqual([
      ['insert', 2],
      ['insert', 3],
      ['delete', 1],
    ])
    await vi.waitFor(async () => {
      expect(await readSlotStatus(database.server, database.slot)).toMatchObject({
        slot: { active: true },
        snapshot: null,
      })
    }, WAIT)
  })

  test('C-10: recovers from a dropped slot', async () => {
    const first = launch(new ScriptedSink(), { snapshot: 'never' })
    await vi.waitUntil(() => first.capture.state === 'streaming', WAIT)
    await first.stop()
    await database.dropSlot()
    await rows(1, 3)
    const sink = new ScriptedSink()
    const waiting = launch(sink, { snapshot: 'never' })
    expect((await waiting.failure()).message).toMatch(/run ponix-cdc resnapshot/)
    expect(await requestSnapshot(database.server, database.slot)).toBe('absent')
    await sink.until(3)
    await vi.waitUntil(() => waiting.capture.state === 'streaming', WAIT)
    await rows(4, 4)
    expect((await sink.until(4)).map(idOf)).toEqual([1, 2, 3, 4])
  })

  test('B-17: replaces a snapshot that is being sent', async () => {
    await rows(1, 2)
    const sink = new ScriptedSink()
    sink.holds = () => true
    const { capture } = launch(sink)
    await sink.until(2)
    expect(await requestSnapshot(database.server, database.slot)).toBe('kept')
    sink.release()
    const changes = await sink.until(4)
    expect(changes.map(idOf)).toEqual([1, 2, 1, 2])
    expect(new Set(changes.map(({ transaction }) => transaction.snapshot)).size).toBe(2)
    await vi.waitUntil(() => capture.state === 'streaming', WAIT)
  })

  test('B-17: is served once while one instance streams and another is its standby', async () => {
    await rows(1, 3)
    const sink = new ScriptedSink()
    const both = [launch(sink, { snapshot: 'never' }), launch(sink, { snapshot: 'never' })]
    const states = (): string[] => both.map(({ capture }) => capture.state).sort()
    await vi.waitUntil(() => states().join() === 'standby,streaming', WAIT)
    expect(await requestSnapshot(database.server, database.slot)).toBe('kept')
    await sink.until(3)
    await vi.waitUntil(() => states().join() === 'standby,streaming', WAIT)
    await rows(4, 4)
    expect((await sink.until(4)).map(idOf)).toEqual([1, 2, 3, 4])
  })
})
