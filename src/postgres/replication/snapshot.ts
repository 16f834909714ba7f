import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { escapeLiteral, type Client } from 'pg'
import type { BudgetLimits } from '../../domain/byte-budget.ts'
import { ReplicationError, messageOf } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import type { PostgresServer } from '../database.ts'
import { attempt } from '../errors.ts'
import { qualifiedName, type CapturedTable, type Change, type Transaction } from './change.ts'
import type { Queryable } from './publication.ts'
import { openClient, type ReplicationConnection, type SlotStart } from './replication-connection.ts'
import { readChunks, type Chunk } from './snapshot-rows.ts'
import { SlotStateStore, type SnapshotProgress } from './slot-state.ts'
import { ensureSlot, readSlot, type SlotRequest } from './slot.ts'

export interface PreparationOptions {
  readonly slot: string
  readonly server: PostgresServer
  readonly tables: readonly CapturedTable[]
  /** Called with each existing row as an insert; resolves when it is stored. */
  readonly onChange: (change: Change) => Promise<void> | undefined
  /** The limits of the rows in flight, in bytes of text; the progress is saved after each chunk of this size. */
  readonly limits: BudgetLimits
  readonly snapshot: 'initial' | 'never'
  readonly standbyPollMs: number
  readonly logger: Logger
  /** Called when the snapshot starts, and when it waits because another instance is taking it. */
  readonly onState: (state: 'snapshot' | 'standby') => void
}

export function newSnapshotId(): string {
  return randomUUID().slice(0, 8)
}

/** Tries to acquire the lock on snapshots of this slot; it is held until the client's session ends. */
async function tryLockSnapshot(client: Client, slot: string): Promise<boolean> {
  const { rows } = await attempt('lock the snapshot', () =>
    client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked', [slot]),
  )
  return rows[0]?.locked === true
}

/** Ensures that the stream can start: that the slot exists and a due snapshot is stored. */
export class SlotPreparation {
  readonly #database: Queryable
  readonly #connection: ReplicationConnection
  readonly #options: PreparationOptions
  readonly #request: SlotRequest
  readonly #store: SlotStateStore

  constructor(database: Queryable, connection: ReplicationConnection, version: number, options: PreparationOptions) {
    this.#database = database
    this.#connection = connection
    this.#options = options
    const { slot, server } = options
    this.#request = { slot, database: server.database, version, exportSnapshot: false }
    this.#store = new SlotStateStore(database, slot)
  }

  /** Prepares the stream; returns false if the signal aborted, or another snapshot was requested, first. Throws a ReplicationError. */
  async prepare(signal: AbortSignal): Promise<boolean> {
    if (await this.#isSnapshotDue()) return await this.#takeSnapshotOnce(signal)
    await this.#ensureSlot(false)
    return true
  }

  async #isSnapshotDue(): Promise<boolean> {
    const { slot, snapshot } = this.#options
    const stored = await this.#store.read()
    if (stored.snapshot !== null) return true
    return snapshot === 'initial' && !stored.created && (await readSlot(this.#database, slot)) === null
  }

  /** Takes the snapshot unless another instance has taken it while this instance waited for the lock. */
  async #takeSnapshotOnce(signal: AbortSignal): Promise<boolean> {
    const client = await openClient(this.#options.server, { application_name: 'ponix-cdc snapshot' })
    try {
      if (!(await this.#lock(client, signal))) return false
      while (await this.#isSnapshotDue()) {
        if (await this.#isSlotFree()) return await this.#takeSnapshot(client, signal)
        if (!(await this.#waitAsStandby(signal))) return false
      }
      await this.#ensureSlot(false)
      return true
    } finally {
      await client.end()
    }
  }

  /** Acquires the lock; returns false if the signal aborted first. */
  async #lock(client: Client, signal: AbortSignal): Promise<boolean> {
    const { slot, logger } = this.#options
    for (let logged = false; !signal.aborted; logged = true) {
      if (await tryLockSnapshot(client, slot)) return true
      if (!logged) logger.info({ slot }, 'another instance takes the snapshot; waiting as standby')
      await this.#waitAsStandby(signal)
    }
    return false
  }

  /** Returns whether no instance streams. */
  async #isSlotFree(): Promise<boolean> {
    return (await readSlot(this.#database, this.#options.slot))?.active !== true
  }

  /** Returns false if the signal aborted. */
  async #waitAsStandby(signal: AbortSignal): Promise<boolean> {
    const { standbyPollMs, onState } = this.#options
    onState('standby')
    return await sleep(standbyPollMs, true, { signal }).catch(() => false)
  }

  async #takeSnapshot(client: Client, signal: AbortSignal): Promise<boolean> {
    const { slot, logger, onState } = this.#options
    const progress = (await this.#store.read()).snapshot ?? (await this.#requestSnapshot())
    const transfer = new SnapshotTransfer(client, progress, this.#store, this.#options)
    const start = (await this.#ensureSlot(true)) ?? (await this.#exportPresent())
    const { partly, done } = progress
    logger.info({ slot, done, ...(partly === null ? {} : partly) }, 'sending the existing rows')
    onState('snapshot')
    if (!(await transfer.run(start, this.#options.tables, signal))) return false
    await this.#store.finishSnapshot(progress.id)
    logger.info({ slot }, 'stored the existing rows')
    return true
  }

  async #requestSnapshot(): Promise<SnapshotProgress> {
    const id = newSnapshotId()
    await this.#store.requestSnapshot(id)
    return { id, done: [], partly: null }
  }

  /** Exports the existing rows for an existing slot, with a temporary slot. */
  async #exportPresent(): Promise<SlotStart> {
    const name = `${this.#options.slot.slice(0, 54)}_snapshot`
    return await this.#connection.createSlot(name, { failover: false, exportSnapshot: true, temporary: true })
  }

  async #ensureSlot(exportSnapshot: boolean): Promise<SlotStart | null> {
    const { slot, logger } = this.#options
    const start = await ensureSlot(this.#database, this.#connection, this.#store, { ...this.#request, exportSnapshot })
    if (start !== null) logger.info({ slot }, 'created the replication slot')
    return start
  }
}

/** Passes the existing rows of every table that has a key, and saves the progress. Throws a ReplicationError. */
class SnapshotTransfer {
  readonly #client: Client
  readonly #store: SlotStateStore
  readonly #onChange: PreparationOptions['onChange']
  readonly #limits: BudgetLimits
  #progress: SnapshotProgress
  #index = 0

  constructor(
    client: Client,
    progress: SnapshotProgress,
    store: SlotStateStore,
    { onChange, limits }: Pick<PreparationOptions, 'onChange' | 'limits'>,
  ) {
    this.#client = client
    this.#progress = progress
    this.#store = store
    this.#onChange = onChange
    this.#limits = limits
  }

  /** Continues at the saved progress. Returns false if the signal aborted, or another snapshot was requested, before the end. */
  async run(start: SlotStart, tables: readonly CapturedTable[], signal: AbortSignal): Promise<boolean> {
    await attempt('import the snapshot', async () => {
      await this.#client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await this.#client.query(`SET TRANSACTION SNAPSHOT ${escapeLiteral(start.snapshotName)}`)
    })
    const commitTime = BigInt(Date.now()) * 1000n
    // The first commit of the stream may be exactly at the slot's start, and is newer than these rows.
    const transaction = { xid: 0, commitLsn: start.lsn - 1n, commitTime, snapshot: this.#progress.id }
    for (const table of tables) if (!(await this.#sendTable(table, transaction, signal))) return false
    return true
  }

  async #sendTable(table: CapturedTable, transaction: Transaction, signal: AbortSignal): Promise<boolean> {
    const name = qualifiedName(table)
    const { done, partly } = this.#progress
    if (table.key === undefined || done.includes(name)) return true
    const after = partly?.table === name ? partly.after : null
    for await (const chunk of readChunks(this.#client, table, table.key, after, this.#limits)) {
      if (!(await this.#send(chunk, transaction, signal))) return false
      const last = chunk.rows.at(-1)?.get(table.key)
      if (!(await this.#save({ ...this.#progress, partly: { table: name, after: String(last) } }))) return false
    }
    return await this.#save({ ...this.#progress, done: [...done, name], partly: null })
  }

  /** Passes all rows of a chunk and waits until all are stored. */
  async #send({ relation, rows }: Chunk, transaction: Transaction, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    const stored = rows.map(async (row) => {
      await this.#onChange({ operation: 'insert', relation, old: null, new: row, transaction, index: this.#index++ })
    })
    const aborted = new Promise<'aborted'>((resolve) =>
      signal.addEventListener('abort', () => resolve('aborted'), { once: true }),
    )
    const outcome = await Promise.race([Promise.allSettled(stored), aborted])
    if (outcome === 'aborted') return false
    const refused = outcome.find((result) => result.status === 'rejected')
    if (refused === undefined) return true
    const message = `could not store the snapshot of ${qualifiedName(relation)}: ${messageOf(refused.reason)}`
    throw new ReplicationError('sink', message, { cause: refused.reason })
  }

  /** Returns false if another snapshot was requested. */
  async #save(progress: SnapshotProgress): Promise<boolean> {
    this.#progress = progress
    return await this.#store.saveProgress(progress)
  }
}
