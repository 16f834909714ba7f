import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresAddress, type ServerControl } from '../../../test/rig/servers.ts'
import { TcpProxy, type ProxiedLink } from '../../../test/rig/tcp-proxy.ts'
import {
  ScriptedSink,
  startCapture,
  TestDatabase,
  type RunningCapture,
} from '../../../test/rig/adapters/capture-rig.ts'

const WAIT = { timeout: 30_000, interval: 20 }
const TIMEOUT_MS = 1000

let server: PostgresAddress & ServerControl
let database: TestDatabase
let sink: ScriptedSink

beforeEach(async () => {
  server = await startPostgres()
  database = await TestDatabase.create(server)
  await database.sql('CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items REPLICA IDENTITY FULL')
  await database.sql(`ALTER DATABASE ${database.server.database} SET wal_sender_timeout = ${TIMEOUT_MS}`)
  sink = new ScriptedSink()
})

afterEach(async () => {
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

async function walSender(): Promise<number> {
  const [row] = await database.sql('SELECT pid FROM pg_stat_replication')
  return Number(row?.['pid'])
}

const streams = ({ capture }: RunningCapture): Promise<true> => vi.waitUntil(() => capture.state === 'streaming', WAIT)

test('B-8: a stream survives a walsender that is silent for five times wal_sender_timeout', async () => {
  await using running = startCapture(database, ['items'], sink)
  await streams(running)
  const pid = await walSender()
  // A walsender that decodes a large transaction neither sends nor replies, as a stopped one.
  process.kill(pid, 'SIGSTOP')
  const stoppedAt = Date.now()
  try {
    await database.sql('INSERT INTO items VALUES (1)')
    const isOver = (): boolean => Date.now() - stoppedAt > 5 * TIMEOUT_MS || running.capture.state !== 'streaming'
    await vi.waitUntil(isOver, WAIT)
    expect(running.capture.state).toBe('streaming')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await sink.until(1)
  expect(running.capture.retries).toBe(0)
  expect(await walSender()).toBe(pid)
})

test('B-8: a stream is opened again when its walsender is gone and the connection does not report it', async () => {
  let replication: ProxiedLink | undefined
  await using proxy = await TcpProxy.start(`tcp://127.0.0.1:${server.port}`, (link) => ({
    fromClient(bytes) {
      if (bytes.includes('START_REPLICATION')) replication = link
      link.toServer(bytes)
    },
    fromServer: (bytes) => link.toClient(bytes),
  }))
  await using running = startCapture(database, ['items'], sink, { server: { ...database.server, port: proxy.port } })
  await streams(running)
  replication?.loseServer()
  await vi.waitUntil(() => running.capture.retries === 1, WAIT)
  await streams(running)
  await database.sql('INSERT INTO items VALUES (1)')
  expect((await sink.until(1)).map(({ new: row }) => row?.get('id'))).toEqual([1])
})
