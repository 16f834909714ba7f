import { Client, escapeIdentifier, escapeLiteral, type FieldDef } from 'pg'
import { escapedName, type CapturedTable } from './captured-table.ts'
import { decoderFor, type ColumnValue } from './column-types.ts'
import type { Relation } from './pgoutput-messages.ts'
import type { PostgresServer } from './replication-connection.ts'
import { attempt } from './replication-error.ts'
import { Row } from './row.ts'
import { SESSION_OPTIONS } from './session-options.ts'

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
