import { escapeIdentifier, escapeLiteral, Query, type Client, type FieldDef } from 'pg'
import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import { attempt } from '../errors.ts'
import { escapedName, Row, type CapturedTable, type Relation } from './change.ts'
import { textDecoderFor } from './column-types.ts'

/** Rows of a table, with its columns. */
export interface Chunk {
  readonly relation: Relation
  readonly rows: readonly Row[]
}

/** Reads the rows of a table, limited to keys greater than `after` if it is given. Throws a ReplicationError. */
export async function* readChunks(
  client: Client,
  table: CapturedTable,
  key: string,
  after: string | null,
  limits: BudgetLimits,
): AsyncGenerator<Chunk> {
  const column = escapeIdentifier(key)
  const where = after === null ? '' : `WHERE ${column} > ${escapeLiteral(after)}`
  const text = `SELECT * FROM ${escapedName(table)} ${where} ORDER BY ${column}`
  const action = `read ${table.table}`
  await attempt(action, () => client.query(`DECLARE existing NO SCROLL CURSOR FOR ${text}`))
  const result = new PausingQuery(client, 'FETCH ALL FROM existing', limits)
  for (let isOver = false; !isOver;) {
    isOver = await attempt(action, () => result.untilFull())
    for (const rows of result.take(isOver)) yield decodeChunk(table, result.fields, rows)
    result.resume()
  }
  await attempt(action, () => client.query('CLOSE existing'))
}

/** A row as PostgreSQL sends it: text by column. */
type TextRow = Readonly<Record<string, string | null>>

/**
 * A query that stops reading from the socket at the limits, so that PostgreSQL waits. It exceeds them only by one row and by the
 * rows that one read from the socket contains.
 */
class PausingQuery {
  fields: readonly FieldDef[] = []
  readonly #client: Client
  readonly #limits: BudgetLimits
  readonly #budget: ByteBudget
  readonly #rows: TextRow[] = []
  readonly #ended: Promise<true>
  #onFull: () => void = () => undefined

  constructor(client: Client, text: string, limits: BudgetLimits) {
    this.#client = client
    this.#limits = limits
    this.#budget = new ByteBudget(limits)
    const query = new Query<TextRow>({ text, types: AS_TEXT })
    query.on('row', (row, result) => this.#onRow(row, result?.fields))
    this.#ended = new Promise((resolve, reject) => query.once('end', () => resolve(true)).once('error', reject))
    this.#ended.catch(() => undefined)
    client.query(query)
  }

  /** Resolves to false at a limit, to true at the end of the result. */
  async untilFull(): Promise<boolean> {
    if (this.#budget.isFull) return false
    const full = new Promise<false>((resolve) => (this.#onFull = () => resolve(false)))
    return await Promise.race([full, this.#ended])
  }

  /** Removes and yields rows, in groups within the limit of rows: the rows that exceed the limits, or all rows. */
  *take(all: boolean): Generator<readonly TextRow[]> {
    while (all ? this.#rows.length > 0 : this.#budget.isFull) {
      const taken = this.#rows.splice(0, this.#limits.items)
      for (const row of taken) this.#budget.remove(sizeOf(row))
      yield taken
    }
  }

  resume(): void {
    this.#client.connection.stream.resume()
  }

  #onRow(row: TextRow, fields: readonly FieldDef[] = this.fields): void {
    this.fields = fields
    this.#rows.push(row)
    this.#budget.add(sizeOf(row))
    if (!this.#budget.isFull) return
    this.#client.connection.stream.pause()
    this.#onFull()
  }
}

function sizeOf(row: TextRow): number {
  let size = 0
  for (const column in row) size += row[column]?.length ?? 0
  return size
}

/** Keeps PostgreSQL's text format. */
const AS_TEXT = { getTypeParser: () => (text: string) => text }

function decodeChunk({ schema, table }: CapturedTable, fields: readonly FieldDef[], rows: readonly TextRow[]): Chunk {
  const columns = fields.map(({ name, dataTypeID }) => ({ name, typeOid: dataTypeID, isKey: true }))
  const layout = new Map(columns.map(({ name }, index) => [name, index]))
  const decoders = columns.map(({ name, typeOid }) => {
    const decode = textDecoderFor(typeOid)
    return (row: TextRow) => {
      const text = row[name] ?? null
      return text === null ? null : decode(text)
    }
  })
  return {
    relation: { schema, table, columns },
    rows: rows.map(
      (row) =>
        new Row(
          layout,
          decoders.map((decode) => decode(row)),
        ),
    ),
  }
}
