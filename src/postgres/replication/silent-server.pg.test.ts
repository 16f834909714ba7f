import { expect, test, vi } from 'vitest'
import { startPostgres } from '../../../test/rig/servers.ts'
import { ScriptedSink, startCapture, TestDatabase } from '../../../test/rig/adapters/capture-rig.ts'

const WAIT = { timeout: 90_000, interval: 100 }

/** Longer than the limit of a server with the default `wal_sender_timeout`. */
const SILENCE_MS = 65_000

test('B-8: a stream survives a walsender that is silent for 65 s, where wal_sender_timeout is 0', async () => {
  await using server = await startPostgres()
  await using database = await TestDatabase.create(server)
  await database.sql('CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items REPLICA IDENTITY FULL')
  await database.sql(`ALTER DATABASE ${database.server.database} SET wal_sender_timeout = 0`)
  const sink = new ScriptedSink()
  await using running = startCapture(database, ['items'], sink)
  await vi.waitUntil(() => running.capture.state === 'streaming', WAIT)
  const [walsender] = await database.sql('SELECT pid FROM pg_stat_replication')
  const pid = Number(walsender?.['pid'])
  // A walsender that decodes a large transaction neither sends nor replies, as a stopped one.
  process.kill(pid, 'SIGSTOP')
  const stoppedAt = Date.now()
  try {
    await database.sql('INSERT INTO items VALUES (1)')
    await vi.waitUntil(() => Date.now() - stoppedAt > SILENCE_MS || running.capture.state !== 'streaming', WAIT)
    expect(running.capture.state).toBe('streaming')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await sink.until(1)
  expect(running.capture.retries).toBe(0)
}, 120_000)
