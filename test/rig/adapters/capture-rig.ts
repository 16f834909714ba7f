import { randomBytes } from 'node:crypto'
import { Client, type QueryResultRow } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, inject, vi } from 'vitest'
import { ChangeCapture, type CaptureOptions } from '../../../src/postgres/replication/change-capture.ts'
import {
  type CapturedTable,
  type Change,
  parseLsn,
  type Lsn,
  type Row,
} from '../../../src/postgres/replication/change.ts'
import type { ReplicationError, ReplicationErrorCode } from '../../../src/domain/errors.ts'
import type { PostgresServer } from '../../../src/postgres/database.ts'
import { dropDatabase, migrations } from './test-schema.ts'

/** A new database with the tables of the platform on a real server; dropped with its slots on disposal. */
export class TestDatabase implements AsyncDisposable {
  readonly server: PostgresServer
  readonly slot: string
  #admin: Client
  #client: Client

  private constructor(server: PostgresServer, slot: string, admin: Client, client: Client) {
    this.server = server
    this.slot = slot
    this.#admin = admin
    this.#client = client
  }

  static async create(server: PostgresServer): Promise<TestDatabase> {
    const name = `replication_${randomBytes(6).toString('hex')}`
    const admin = await connect(server)
    await admin.query(`CREATE DATABASE ${name}`)
    const own = { ...server, database: name }
    const database = new TestDatabase(own, `${name}_slot`, admin, await connect(own))
    await database.sql((await migrations()).join('\n'))
    return database
  }

  /** Runs statements, as one transaction unless they contain BEGIN. Returns the rows of the last one. */
  async sql<R extends QueryResultRow = QueryResultRow>(text: string, values?: unknown[]): Promise<R[]> {
    const result = await this.#client.query<R>(text, values)
    const last: unknown = Array.isArray(result) ? result.at(-1) : result
    return rowsOf<R>(last)
  }

  /** Reconnects; call it after a restart of the server. */
  async reconnect(): Promise<void> {
    await Promise.allSettled([this.#client.end(), this.#admin.end()])
    this.#client = await connect(this.server)
    this.#admin = await connect({ ...this.server, database: 'postgres' })
  }

  async walEnd(): Promise<Lsn> {
    const [row] = await this.sql<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn')
    return parseLsn(row?.lsn ?? '')
  }

  /** Returns the position that the server has as confirmed; 0 without a slot. */
  async confirmed(slot = this.slot): Promise<Lsn> {
    const [row] = await this.sql<{ lsn: string | null }>(
      'SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = $1',
      [slot],
    )
    return parseLsn(row?.lsn ?? '0/0')
  }

  /** Returns whether the server waits because its receiver does not read. */
  async serverWaits(): Promise<boolean> {
    const [row] = await this.sql<{ event: string | null }>(
      `SELECT wait_event AS event FROM pg_stat_activity a JOIN pg_replication_slots s ON s.active_pid = a.pid
       WHERE s.slot_name = $1`,
      [this.slot],
    )
    return row?.event === 'WalSenderWriteData'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const name = this.server.database
    await this.#client.end()
    await this.#admin.query(
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active',
      [name],
    )
    await this.#dropSlots(name)
    await dropDatabase(this.#admin, name)
    await this.#admin.end()
  }

  /** Drops the slot when the server has noticed that its user is gone. */
  async dropSlot(): Promise<void> {
    const query = 'SELECT active FROM pg_replication_slots WHERE slot_name = $1'
    for (;;) {
      const [slot] = await this.sql<{ active: boolean }>(query, [this.slot])
      if (slot?.active !== true) break
    }
    await this.sql('SELECT pg_drop_replication_slot($1)', [this.slot])
  }

  async #dropSlots(database: string): Promise<void> {
    const { rows } = await this.#admin.query<{ slot_name: string; active: boolean }>(
      'SELECT slot_name, active FROM pg_replication_slots WHERE database = $1',
      [database],
    )
    for (const { slot_name, active } of rows) {
      if (active) return this.#dropSlots(database)
      await this.#admin.query('SELECT pg_drop_replication_slot($1)', [slot_name])
    }
  }
}

async function connect(server: PostgresServer): Promise<Client> {
  const { host, port, database, username, password } = server
  const client = new Client({ host, port, database, user: username, password })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

function rowsOf<R>(result: unknown): R[] {
  return typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
    ? result.rows
    : []
}

/** Records changes; stores each immediately, or on `release` if `holds` returns true. */
export class ScriptedSink {
  readonly taken: Change[] = []
  readonly stored: Change[] = []
  /** Returns whether to hold a change; an error rejects it. */
  holds: (change: Change) => boolean = () => false
  #held: { readonly change: Change; readonly store: () => void }[] = []
  #waiting: { readonly count: number; readonly wake: () => void }[] = []

  readonly take = async (change: Change): Promise<void> => {
    this.taken.push(change)
    this.#wake()
    if (this.holds(change)) await new Promise<void>((resolve) => this.#held.push({ change, store: resolve }))
    this.stored.push(change)
  }

  /** Stores held changes, oldest first, and stops holding. */
  release(): void {
    this.holds = () => false
    const held = this.#held
    this.#held = []
    for (const { store } of held) store()
  }

  /** Resolves when `count` changes were taken. */
  async until(count: number): Promise<readonly Change[]> {
    if (this.taken.length < count) await new Promise<void>((wake) => this.#waiting.push({ count, wake }))
    return this.taken
  }

  #wake(): void {
    for (const waiting of this.#waiting) if (this.taken.length >= waiting.count) waiting.wake()
    this.#waiting = this.#waiting.filter(({ count }) => this.taken.length < count)
  }
}

export interface RunningCapture extends AsyncDisposable {
  readonly capture: ChangeCapture
  /** Resolves with the failure for which the capture waits, of the code if it is given. */
  readonly failure: (code?: ReplicationErrorCode) => Promise<ReplicationError>
  /** Aborts `run` and waits for its end. */
  stop(): Promise<void>
}

/** Runs a capture of these tables with short delays. */
export function startCapture(
  database: TestDatabase,
  tables: readonly (string | CapturedTable)[],
  sink: ScriptedSink,
  options: Partial<CaptureOptions> = {},
): RunningCapture {
  const capture = new ChangeCapture({
    server: database.server,
    slot: database.slot,
    publication: 'tested',
    tables: tables.map((table) => (typeof table === 'string' ? { schema: 'public', table, oldColumns: [] } : table)),
    onChange: sink.take,
    confirm: { changes: 1, ms: 20 },
    retry: { maxDelayMs: 400, maxAttempts: 5 },
    standbyPollMs: 20,
    shutdownTimeoutMs: 200,
    logger: pino({ level: 'silent' }),
    ...options,
  })
  const stopping = new AbortController()
  const finished = capture.run(stopping.signal)
  const stop = async (): Promise<void> => {
    stopping.abort()
    await finished
  }
  const failure = async (code?: ReplicationErrorCode): Promise<ReplicationError> =>
    await vi.waitUntil(() => (code === undefined || capture.failure?.code === code ? capture.failure : undefined), WAIT)
  return { capture, failure, stop, [Symbol.asyncDispose]: stop }
}

/** The timeout for waits on the server. */
export const WAIT = { timeout: 20_000, interval: 10 }

/** A new database with the table `items`, and a sink, for each test. Create it at the top of a test file: it registers hooks. */
export class CaptureFixture {
  #database: TestDatabase | undefined
  #sink: ScriptedSink | undefined
  readonly #running: RunningCapture[] = []

  constructor() {
    beforeEach(async () => {
      this.#database = await TestDatabase.create(inject('postgres'))
      this.#sink = new ScriptedSink()
      await this.database.sql(
        'CREATE TABLE items (id int PRIMARY KEY, name text); ALTER TABLE items REPLICA IDENTITY FULL',
      )
    })
    afterEach(async () => {
      for (const capture of this.#running.splice(0)) await capture[Symbol.asyncDispose]()
      await this.database[Symbol.asyncDispose]()
    })
  }

  get database(): TestDatabase {
    return present(this.#database)
  }

  get sink(): ScriptedSink {
    return present(this.#sink)
  }

  /** Starts a capture without waiting. */
  launch(
    tables: readonly (string | CapturedTable)[] = ['items'],
    options: Partial<CaptureOptions> = {},
    sink = this.sink,
  ): RunningCapture {
    const capture = startCapture(this.database, tables, sink, options)
    this.#running.push(capture)
    return capture
  }

  /** Starts a capture; resolves when it streams. */
  async start(
    tables?: readonly (string | CapturedTable)[],
    options?: Partial<CaptureOptions>,
    sink?: ScriptedSink,
  ): Promise<RunningCapture> {
    const capture = this.launch(tables, options, sink)
    await vi.waitUntil(() => capture.capture.state === 'streaming', WAIT)
    return capture
  }

  /** Terminates the running stream in the server. */
  async cutStream(): Promise<void> {
    await this.database.sql('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
      this.database.slot,
    ])
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the fixture is set up by the hooks of the tests')
  return part
}

/** Returns the ids of the rows that changed, in the order of the changes. */
export const ids = (changes: readonly Change[]): unknown[] =>
  changes.map(({ old, new: row }) => (row ?? old)?.get('id'))

/** Returns a row as a plain object. */
export const plain = (row: Row | null | undefined): unknown => (row ? Object.fromEntries(row.entries()) : row)
