import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../runner/logger.ts'
import type { Queryable } from './publication.ts'
import type { PostgresServer, ReplicationConnection, SlotStart } from './replication-connection.ts'
import { ensureSlot, readSlot, type SlotRequest } from './slot.ts'
import { readSlotMemory, rememberSnapshot, type SnapshotProgress } from './slot-memory.ts'
import { isSnapshotDue, newSnapshot, takeSnapshot, type SnapshotOptions } from './snapshot.ts'
import { SnapshotReader } from './snapshot-reader.ts'

export interface PreparationOptions extends Omit<SnapshotOptions, 'remember'> {
  readonly server: PostgresServer
  readonly slot: string
  readonly publication: string
  readonly snapshot: 'initial' | 'never'
  readonly standbyPollMs: number
  readonly logger: Logger
  /** Called when existing rows begin to be handed over, and when another instance does that and is waited for. */
  readonly onState: (state: 'snapshot' | 'standby') => void
}

/** Sees to it that the stream can start: the slot is there, and the snapshot that is due is stored. */
export class SlotPreparation {
  readonly #database: Queryable
  readonly #connection: ReplicationConnection
  readonly #options: PreparationOptions
  readonly #request: SlotRequest

  constructor(database: Queryable, connection: ReplicationConnection, version: number, options: PreparationOptions) {
    this.#database = database
    this.#connection = connection
    this.#options = options
    const { slot, publication, server } = options
    this.#request = { slot, publication, database: server.database, version, exportSnapshot: false }
  }

  /** Returns false when the signal aborted before the end. Throws a ReplicationError. */
  async prepare(signal: AbortSignal): Promise<boolean> {
    if (!(await this.#isSnapshotDue())) {
      await this.#ensureSlot(false)
      return true
    }
    const reader = await SnapshotReader.open(this.#options.server)
    try {
      return (await this.#lockWhenFree(reader, signal)) && (await this.#snapshotIfDue(reader, signal))
    } finally {
      await reader.close()
    }
  }

  async #isSnapshotDue(): Promise<boolean> {
    const { slot, snapshot } = this.#options
    const memory = await readSlotMemory(this.#database, this.#request)
    return isSnapshotDue(snapshot, memory, (await readSlot(this.#database, slot)) !== null)
  }

  /** Two instances must not send the same rows. */
  async #lockWhenFree(reader: SnapshotReader, signal: AbortSignal): Promise<boolean> {
    const { slot, standbyPollMs, logger, onState } = this.#options
    for (let told = false; !signal.aborted; told = true) {
      if (await reader.tryLock(slot)) return true
      if (!told) logger.info({ slot }, 'another instance takes the snapshot; waiting as its standby')
      onState('standby')
      await sleep(standbyPollMs, undefined, { signal }).catch(() => undefined)
    }
    return false
  }

  async #snapshotIfDue(reader: SnapshotReader, signal: AbortSignal): Promise<boolean> {
    if (!(await this.#isSnapshotDue())) {
      await this.#ensureSlot(false)
      return true
    }
    const known = await readSlotMemory(this.#database, this.#request)
    const progress = known.snapshot ?? newSnapshot()
    await this.#remember(progress)
    const at = (await this.#ensureSlot(true)) ?? (await this.#present())
    return await this.#take(reader, at, progress, signal)
  }

  /** The slot was there before: a temporary one says what is there now. */
  async #present(): Promise<SlotStart> {
    const name = `${this.#options.slot.slice(0, 54)}_snapshot`
    return await this.#connection.createSlot(name, { failover: false, exportSnapshot: true, temporary: true })
  }

  async #take(
    reader: SnapshotReader,
    at: SlotStart,
    progress: SnapshotProgress,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { slot, logger, onState } = this.#options
    const { partly, done } = progress
    logger.info({ slot, done, ...(partly === null ? {} : partly) }, 'sending the existing rows')
    onState('snapshot')
    const remember = (reached: SnapshotProgress): Promise<void> => this.#remember(reached)
    if (!(await takeSnapshot(reader, at, progress, { ...this.#options, remember }, signal))) return false
    await this.#remember(null)
    logger.info({ slot }, 'the existing rows are stored')
    return true
  }

  async #remember(progress: SnapshotProgress | null): Promise<void> {
    await rememberSnapshot(this.#database, this.#request, progress)
  }

  async #ensureSlot(exportSnapshot: boolean): Promise<SlotStart | null> {
    const { slot, logger } = this.#options
    const start = await ensureSlot(this.#database, this.#connection, { ...this.#request, exportSnapshot })
    if (start !== null) logger.info({ slot }, 'created the replication slot')
    return start
  }
}
