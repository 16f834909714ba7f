import { attempt } from '../errors.ts'
import type { Queryable } from './publication.ts'

/** The progress of a snapshot: all named tables and rows are stored. */
export interface SnapshotProgress {
  /** Identifies the snapshot in the ids of its messages. */
  readonly id: string
  /** Completely stored tables, such as `public.gateways`. */
  readonly done: readonly string[]
  /** The partly stored table, and the key of its last stored row. */
  readonly partly: { readonly table: string; readonly after: string } | null
}

export interface StoredSlotState {
  /** Whether the slot was created: if it is missing, it is lost. */
  readonly created: boolean
  /** A snapshot that is due or incomplete. */
  readonly snapshot: SnapshotProgress | null
}

interface StateRow {
  readonly created: boolean
  readonly snapshot_id: string | null
  readonly snapshot_done: string[]
  readonly snapshot_table: string | null
  readonly snapshot_after: string | null
}

/**
 * Stores the state of a slot in its row of `ponix_cdc_slots`, which is backed up and restored with the tables. Each method changes
 * only its columns, in one statement, and throws a ReplicationError: `table_missing`, `rights`, `connection`.
 */
export class SlotStateStore {
  readonly #database: Queryable
  readonly #slot: string

  constructor(database: Queryable, slot: string) {
    this.#database = database
    this.#slot = slot
  }

  async read(): Promise<StoredSlotState> {
    const [row] = await this.#run<StateRow>('SELECT * FROM ponix_cdc_slots WHERE slot = $1')
    return row === undefined ? { created: false, snapshot: null } : { created: row.created, snapshot: snapshotOf(row) }
  }

  /** Records that the slot was created, so that a missing slot is a lost slot. */
  async markCreated(): Promise<void> {
    await this.#run(
      'INSERT INTO ponix_cdc_slots (slot, created) VALUES ($1, true) ON CONFLICT (slot) DO UPDATE SET created = true',
    )
  }

  /** Makes a snapshot due; it replaces an incomplete one. A lost slot may then be created again. */
  async requestSnapshot(id: string, isLost = false): Promise<void> {
    await this.#run(
      `INSERT INTO ponix_cdc_slots AS state (slot, snapshot_id) VALUES ($1, $2) ON CONFLICT (slot) DO UPDATE
       SET snapshot_id = excluded.snapshot_id, snapshot_done = '{}', snapshot_table = NULL, snapshot_after = NULL,
         created = state.created AND NOT $3`,
      id,
      isLost,
    )
  }

  /** Saves the progress; returns false if another snapshot was requested in the meantime. */
  async saveProgress({ id, done, partly }: SnapshotProgress): Promise<boolean> {
    const saved = await this.#run(
      `UPDATE ponix_cdc_slots SET snapshot_done = $3, snapshot_table = $4, snapshot_after = $5
       WHERE slot = $1 AND snapshot_id = $2 RETURNING slot`,
      id,
      done,
      partly?.table,
      partly?.after,
    )
    return saved.length > 0
  }

  /** Records that the snapshot is stored, unless another one was requested in the meantime. */
  async finishSnapshot(id: string): Promise<void> {
    await this.#run(
      `UPDATE ponix_cdc_slots SET snapshot_id = NULL, snapshot_done = '{}', snapshot_table = NULL, snapshot_after = NULL
       WHERE slot = $1 AND snapshot_id = $2`,
      id,
    )
  }

  /** Removes the row: the slot is as one that never existed. */
  async forget(): Promise<void> {
    await this.#run('DELETE FROM ponix_cdc_slots WHERE slot = $1')
  }

  async #run<R extends object>(text: string, ...values: readonly unknown[]): Promise<R[]> {
    const action = `use the table ponix_cdc_slots, which ponix-migrate up creates, with SELECT, INSERT, UPDATE and DELETE`
    const { rows } = await attempt(action, () =>
      this.#database.query<R & Record<string, unknown>>(text, [this.#slot, ...values]),
    )
    return rows
  }
}

function snapshotOf({ snapshot_id: id, snapshot_done: done, ...row }: StateRow): SnapshotProgress | null {
  if (id === null) return null
  const { snapshot_table: table, snapshot_after: after } = row
  return { id, done, partly: table === null || after === null ? null : { table, after } }
}
