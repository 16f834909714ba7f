import { randomUUID } from 'node:crypto'
import { ReplicationError } from '../../domain/errors.ts'
import { qualifiedName, type CapturedTable } from './captured-table.ts'
import type { Change, Transaction } from './change.ts'
import type { SlotStart } from './replication-connection.ts'
import type { SlotMemory, SnapshotProgress } from './slot-memory.ts'
import type { SnapshotChunk, SnapshotReader } from './snapshot-reader.ts'

export interface SnapshotOptions {
  readonly tables: readonly CapturedTable[]
  /** Takes an existing row as an insert; resolves when it is stored. */
  readonly onChange: (change: Change) => Promise<void> | undefined
  /** Keeps how far it has come; called only with what is stored. */
  readonly remember: (progress: SnapshotProgress) => Promise<void>
  /** Rows that are read and in flight at most. */
  readonly chunkRows: number
}

/** One that has not begun. */
export function newSnapshot(): SnapshotProgress {
  return { id: randomUUID().slice(0, 8), done: [], partly: null }
}

/** Whether a snapshot has to be taken before the stream starts. */
export function isSnapshotDue(policy: 'initial' | 'never', memory: SlotMemory, slotExists: boolean): boolean {
  return memory.snapshot !== null || (policy === 'initial' && !memory.known && !slotExists)
}

/**
 * Hands over the existing rows of every table that has a key, as inserts at the position `at`, from where `progress` says.
 * Returns false when the signal aborted before the end. Throws a ReplicationError; then it can be called again with what was
 * remembered last.
 */
export async function takeSnapshot(
  reader: SnapshotReader,
  at: SlotStart,
  progress: SnapshotProgress,
  options: SnapshotOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const taking = new SnapshotTaking(at, progress, options)
  await reader.begin(at.snapshotName)
  for (const table of options.tables) {
    if (!(await taking.takeTable(reader, table, signal))) return false
  }
  return true
}

class SnapshotTaking {
  readonly #options: SnapshotOptions
  readonly #transaction: Transaction
  #progress: SnapshotProgress
  #index = 0

  constructor(at: SlotStart, progress: SnapshotProgress, options: SnapshotOptions) {
    this.#options = options
    this.#progress = progress
    const commitTime = BigInt(Date.now()) * 1000n
    // The first commit of the stream may be right where the slot starts, and is newer than these rows.
    this.#transaction = { xid: 0, commitLsn: at.lsn - 1n, commitTime, snapshot: progress.id }
  }

  async takeTable(reader: SnapshotReader, table: CapturedTable, signal: AbortSignal): Promise<boolean> {
    const name = qualifiedName(table)
    const { done, partly } = this.#progress
    if (table.key === undefined || done.includes(name)) return true
    const after = partly?.table === name ? partly.after : null
    for await (const chunk of reader.chunks(table, table.key, after, this.#options.chunkRows)) {
      if (!(await this.#store(chunk, signal))) return false
      const last = chunk.rows.at(-1)?.get(table.key)
      await this.#remember({ ...this.#progress, partly: { table: name, after: String(last) } })
    }
    await this.#remember({ ...this.#progress, done: [...done, name], partly: null })
    return true
  }

  /** The rows of a chunk are in flight together; none of the next one before all are stored. */
  async #store({ relation, rows }: SnapshotChunk, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    const transaction = this.#transaction
    const stored = rows.map(async (row) => {
      const change: Change = { operation: 'insert', relation, old: null, new: row, transaction, index: this.#index++ }
      await this.#options.onChange(change)
    })
    const aborted = new Promise<'aborted'>((resolve) =>
      signal.addEventListener('abort', () => resolve('aborted'), { once: true }),
    )
    const outcome = await Promise.race([Promise.allSettled(stored), aborted])
    if (outcome === 'aborted') return false
    const refused = outcome.find(({ status }) => status === 'rejected')
    if (refused?.status !== 'rejected') return true
    const reason = refused.reason instanceof Error ? refused.reason.message : String(refused.reason)
    throw new ReplicationError('sink', `the snapshot of ${qualifiedName(relation)} could not be stored: ${reason}`, {
      cause: refused.reason,
    })
  }

  async #remember(progress: SnapshotProgress): Promise<void> {
    this.#progress = progress
    await this.#options.remember(progress)
  }
}
