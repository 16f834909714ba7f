import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, escapeIdentifier, escapeLiteral, type FieldDef } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { attempt } from '../errors.ts'
import {
  qualifiedName,
  type CapturedTable,
  type Change,
  type Transaction,
  escapedName,
  type Relation,
  Row,
} from './change.ts'
import { decoderFor, type ColumnValue, SESSION_OPTIONS } from './column-types.ts'
import type { Queryable } from './publication.ts'
import type { PostgresServer, ReplicationConnection, SlotStart } from './replication-connection.ts'
import {
  ensureSlot,
  readSlot,
  type SlotRequest,
  readSlotMemory,
  rememberSnapshot,
  type SnapshotProgress,
  type SlotMemory,
} from './slot.ts'

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
function isSnapshotDue(policy: 'initial' | 'never', memory: SlotMemory, slotExists: boolean): boolean {
  return memory.snapshot !== null || (policy === 'initial' && !memory.known && !slotExists)
}

/**
 * Hands over the existing rows of every table that has a key, as inserts at the position `at`, from where `progress` says.
 * Returns false when the signal aborted before the end. Throws a ReplicationError; then it can be called again with what was
 * remembered last.
 */
async function takeSnapshot(
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

/** Rows of one table in the order of its key. */
export interface SnapshotChunk {
  readonly relation: Relation
  readonly rows: readonly Row[]
}

interface RawResult {
  readonly fields: readonly FieldDef[]
  readonly rows: readonly (readonly (string | null)[])[]
}

/** Every value as the text that PostgreSQL writes, which is what the stream's decoders read. */
const AS_TEXT = { getTypeParser: () => (text: string) => text }

/** Reads tables as they were at an exported snapshot. Everything throws a ReplicationError. */
export class SnapshotReader {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  static async open(server: PostgresServer): Promise<SnapshotReader> {
    const { host, port, database, username, password } = server
    const client = new Client({
      host,
      port,
      database,
      user: username,
      password,
      application_name: 'ponix-cdc snapshot',
      options: SESSION_OPTIONS,
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    })
    // A broken connection is told by whatever runs on it then.
    client.on('error', () => undefined)
    await attempt(`connect to PostgreSQL at ${host}:${port}/${database}`, () => client.connect())
    return new SnapshotReader(client)
  }

  /** Whether this reader alone may take the snapshot of the slot; held until `close`. */
  async tryLock(slot: string): Promise<boolean> {
    const { rows } = await attempt('take the lock of the snapshot', () =>
      this.#client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked', [slot]),
    )
    return rows[0]?.locked === true
  }

  /** From here on every table is as it was at the exported snapshot. */
  async begin(snapshotName: string): Promise<void> {
    await attempt('import the snapshot', async () => {
      await this.#client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await this.#client.query(`SET TRANSACTION SNAPSHOT ${escapeLiteral(snapshotName)}`)
    })
  }

  /** The rows of a table whose key comes after `after`, or all of them, in chunks. The last chunk may be empty. */
  async *chunks(table: CapturedTable, key: string, after: string | null, size: number): AsyncGenerator<SnapshotChunk> {
    const column = escapeIdentifier(key)
    const from = after === null ? '' : `WHERE ${column} > ${escapeLiteral(after)}`
    const text = `SELECT * FROM ${escapedName(table)} ${from} ORDER BY ${column}`
    await attempt(`read ${table.table}`, () => this.#client.query(`DECLARE existing NO SCROLL CURSOR FOR ${text}`))
    for (;;) {
      const result = await attempt(`read ${table.table}`, () => this.#fetch(size))
      if (result.rows.length > 0) yield decodeChunk(table, result)
      if (result.rows.length < size) break
    }
    await attempt(`read ${table.table}`, () => this.#client.query('CLOSE existing'))
  }

  /** Lets go of the snapshot and the lock. */
  async close(): Promise<void> {
    await this.#client.end()
  }

  async #fetch(size: number): Promise<RawResult> {
    return await this.#client.query<(string | null)[]>({
      text: `FETCH ${size} FROM existing`,
      rowMode: 'array',
      types: AS_TEXT,
    })
  }
}

function decodeChunk({ schema, table }: CapturedTable, { fields, rows }: RawResult): SnapshotChunk {
  const columns = fields.map(({ name, dataTypeID, dataTypeModifier }) => {
    return { name, typeOid: dataTypeID, typeModifier: dataTypeModifier, isKey: true }
  })
  const decoders = columns.map(({ typeOid }) => decoderFor(typeOid))
  const layout = new Map(columns.map(({ name }, index) => [name, index]))
  const read = (text: string | null, index: number): ColumnValue | undefined => {
    if (text === null) return null
    const bytes = Buffer.from(text)
    return decoders[index]?.(bytes, 0, bytes.length)
  }
  return {
    relation: { oid: fields[0]?.tableID ?? 0, schema, table, replicaIdentity: 'full', columns },
    rows: rows.map((values) => new Row(layout, values.map(read))),
  }
}
