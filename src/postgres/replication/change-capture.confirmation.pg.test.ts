import { describe, expect, test, vi } from 'vitest'
import { CaptureFixture, ids, WAIT, ScriptedSink } from '../../../test/rig/adapters/capture-rig.ts'

const fixture = new CaptureFixture()

describe('confirmation', () => {
  test('C-3: a change is confirmed only after it is stored, regardless of other traffic', async () => {
    await fixture.start()
    fixture.sink.holds = () => true
    await fixture.database.sql('CREATE TABLE noise (n int)')
    const witness = `${fixture.database.slot}_witness`
    await fixture.start(['noise'], { slot: witness, publication: 'noisy' }, new ScriptedSink())
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.sink.until(1)
    const committed = fixture.sink.taken[0]?.transaction.commitLsn ?? 0n
    for (let round = 0; round < 5; round += 1) {
      await fixture.database.sql('INSERT INTO noise VALUES (1)')
      const end = await fixture.database.walEnd()
      await vi.waitFor(async () => expect(await fixture.database.confirmed(witness)).toBeGreaterThanOrEqual(end), WAIT)
      expect(await fixture.database.confirmed()).toBeLessThanOrEqual(committed)
    }
    fixture.sink.release()
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThan(committed), WAIT)
  })

  test('C-3: the transaction directly after a confirmed one is not confirmed with it', async () => {
    const first = await fixture.start()
    fixture.sink.holds = ({ new: row }) => row?.get('id') === 2
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await fixture.sink.until(2)
    await first.stop()
    const after = new ScriptedSink()
    await fixture.start(['items'], {}, after)
    expect(ids(await after.until(1))).toEqual([2])
  })

  test('C-3: a partly stored transaction is sent again completely', async () => {
    const first = await fixture.start()
    fixture.sink.holds = ({ index }) => index === 2
    await fixture.database.sql(`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 3) n`)
    await fixture.sink.until(3)
    await first.stop()
    const after = new ScriptedSink()
    await fixture.start(['items'], {}, after)
    expect(ids(await after.until(3))).toEqual([1, 2, 3])
  })

  test('C-3: a rejected change stops the stream and is sent again, and no later change is skipped', async () => {
    let refusals = 2
    fixture.sink.holds = ({ new: row }) => {
      if (row?.get('id') === 2 && refusals-- > 0) throw new Error('no room')
      return false
    }
    const { capture } = await fixture.start()
    await fixture.database.sql(`INSERT INTO items SELECT n, 'x' FROM generate_series(1, 3) n`)
    await vi.waitUntil(() => fixture.sink.stored.some(({ new: row }) => row?.get('id') === 2), WAIT)
    expect(capture.retries).toBe(2)
    await vi.waitFor(async () => {
      expect(await fixture.database.confirmed()).toBeGreaterThan(fixture.sink.taken[0]?.transaction.commitLsn ?? 0n)
    }, WAIT)
  })

  test('C-10: capturing reports a rejected change and sends it again without end', async () => {
    fixture.sink.holds = () => {
      throw new Error('no room')
    }
    const { failure } = await fixture.start(['items'], { retry: { maxDelayMs: 20, maxAttempts: 3 } })
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    expect((await failure()).message).toMatch(
      /^could not store the insert 0 of transaction \d+ on public.items: no room$/,
    )
    await fixture.sink.until(6)
    fixture.sink.release()
    await vi.waitUntil(() => fixture.sink.stored.length === 1, WAIT)
  })

  test('C-9: an idle table on a busy database does not retain WAL', async () => {
    await fixture.start()
    await fixture.database.sql('CREATE TABLE noise (n int)')
    await fixture.database.sql('INSERT INTO noise SELECT generate_series(1, 1000)')
    const end = await fixture.database.walEnd()
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThanOrEqual(end), WAIT)
    expect(fixture.sink.taken).toHaveLength(0)
  })

  test('C-9: a heartbeat passes through the log of an idle publication and advances the slot', async () => {
    const { capture } = await fixture.start(['items'], { heartbeatMs: 20 })
    await vi.waitUntil(() => capture.lastHeartbeatMs !== undefined, WAIT)
    const first = capture.lastHeartbeatMs ?? 0
    const end = await fixture.database.walEnd()
    await vi.waitUntil(() => (capture.lastHeartbeatMs ?? 0) > first, WAIT)
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThan(end), WAIT)
    expect(fixture.sink.taken).toHaveLength(0)
  })

  test('C-9: a heartbeat after an unstored change confirms nothing', async () => {
    const { capture } = await fixture.start(['items'], { heartbeatMs: 20 })
    fixture.sink.holds = () => true
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    const [held] = await fixture.sink.until(1)
    const before = Date.now()
    await vi.waitUntil(() => (capture.lastHeartbeatMs ?? 0) > before, WAIT)
    expect(await fixture.database.confirmed()).toBeLessThanOrEqual(held?.transaction.commitLsn ?? 0n)
  })

  test('C-14: a graceful stop stores and confirms all changes that were read, and the next start repeats none', async () => {
    const first = await fixture.start(['items'], { shutdownTimeoutMs: 20_000 })
    fixture.sink.holds = () => true
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.sink.until(1)
    const stopped = first.stop()
    // Long enough for a stop that does not wait to complete.
    for (let times = 0; times < 50; times += 1) await fixture.database.confirmed()
    fixture.sink.release()
    await stopped
    expect(await fixture.database.confirmed()).toBeGreaterThan(fixture.sink.taken[0]?.transaction.commitLsn ?? 0n)
    const after = new ScriptedSink()
    await fixture.start(['items'], {}, after)
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    expect(ids(await after.until(1))).toEqual([2])
  })

  test('C-12: a full batch is confirmed immediately, a smaller one after the timeout', async () => {
    await fixture.start(['items'], { confirm: { changes: 3, ms: 3_600_000 } })
    await fixture.database.sql(`INSERT INTO items VALUES (1, 'a')`)
    await fixture.database.sql(`INSERT INTO items VALUES (2, 'b')`)
    await fixture.sink.until(2)
    const before = await fixture.database.confirmed()
    expect(before).toBeLessThan(fixture.sink.taken[0]?.transaction.commitLsn ?? 0n)
    await fixture.database.sql(`INSERT INTO items VALUES (3, 'c')`)
    await vi.waitFor(async () => expect(await fixture.database.confirmed()).toBeGreaterThan(before), WAIT)
    expect(await fixture.database.confirmed()).toBeGreaterThan(fixture.sink.taken[2]?.transaction.commitLsn ?? 0n)
  })
})
