import { afterEach, beforeEach, inject, vi } from 'vitest'
import type { CapturedTable } from './captured-table.ts'
import type { CaptureOptions } from './change-capture.ts'
import type { Change } from './change.ts'
import { ScriptedSink, startCapture, TestDatabase, type RunningCapture } from './replication-rig.ts'
import type { Row } from './row.ts'

// What the tests of capturing changes stand on: a table of items, a sink, and captures that end with the test.

/** How long the tests wait for what the server does. */
export const WAIT = { timeout: 20_000, interval: 10 }

/**
 * A database of each test's own with the table `items`, and a sink. To be made at the top of a test file: it sets up and
 * cleans up around each test.
 */
export class CaptureStage {
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

  /** Starts, and does not wait. */
  launch(
    tables: readonly (string | CapturedTable)[] = ['items'],
    options: Partial<CaptureOptions> = {},
    taker = this.sink,
  ): RunningCapture {
    const capture = startCapture(this.database, tables, taker, options)
    this.#running.push(capture)
    return capture
  }

  /** Starts, and resolves when the stream runs. */
  async start(
    tables?: readonly (string | CapturedTable)[],
    options?: Partial<CaptureOptions>,
    taker?: ScriptedSink,
  ): Promise<RunningCapture> {
    const capture = this.launch(tables, options, taker)
    const streaming = vi.waitUntil(() => capture.capture.state === 'streaming', WAIT)
    await Promise.race([streaming, capture.finished.catch(() => undefined)])
    return capture
  }

  /** Ends the stream that runs now, from the server's side. */
  async cutStream(): Promise<void> {
    await this.database.sql('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1', [
      this.database.slot,
    ])
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the stage is set up by the hooks of the tests')
  return part
}

/** The ids of the rows that changed, in the order of the changes. */
export const ids = (changes: readonly Change[]): unknown[] =>
  changes.map(({ old, new: row }) => (row ?? old)?.get('id'))

/** A row as a plain object. */
export const plain = (row: Row | null | undefined): unknown => (row ? Object.fromEntries(row.entries()) : row)
