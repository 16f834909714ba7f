import { escapeIdentifier, type Pool } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { escapedName, qualifiedName, type CapturedTable } from './change.ts'
import { attempt, replicationErrorFrom, sqlState } from '../errors.ts'

/** A pool or client of pg. */
export type Queryable = Pick<Pool, 'query'>

/** What was done to the publication. */
export interface PublicationReport {
  readonly created: boolean
  /** Tables that it did not carry before. */
  readonly added: readonly string[]
  /** Tables that it carries besides; their changes are skipped. */
  readonly others: readonly string[]
}

/**
 * Sees to it that the publication carries every captured table, whole and with all operations: creates it, or adds what is
 * missing. Throws a ReplicationError: `table_missing`, `rights`, `publication`, `replica_identity`.
 */
export async function ensurePublication(
  database: Queryable,
  publication: string,
  tables: readonly CapturedTable[],
): Promise<PublicationReport> {
  const missing: CapturedTable[] = []
  for (const table of tables) {
    const state = await readTable(database, publication, table)
    checkTable(publication, tables, table, state)
    if (!state.published) missing.push(table)
  }
  const names = missing.map(qualifiedName)
  const exists = await publicationExists(database, publication)
  if (!exists) await createPublication(database, publication, missing)
  else if (missing.length > 0) await addTables(database, publication, missing)
  const carried = await publishedTables(database, publication)
  const wanted = new Set(tables.map(qualifiedName))
  return { created: !exists, added: names, others: carried.filter((name) => !wanted.has(name)) }
}

interface TableState extends Record<string, unknown> {
  /** pg_class.relreplident: d, n, f or i. */
  readonly identity: string
  readonly identity_columns: string[]
  readonly columns: string[]
  readonly published: boolean
  /** Null where the server, before version 15, knows no column lists. */
  readonly published_columns: string[] | null
  readonly filter: string | null
}

/** Through jsonb, for the view's columns differ between versions of the server. */
const READ_TABLE = `
  SELECT c.relreplident::text AS identity,
    ARRAY(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    ARRAY(SELECT a.attname::text
          FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
          WHERE i.indrelid = c.oid
            AND ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))) AS identity_columns,
    p.row IS NOT NULL AS published,
    (SELECT array_agg(e) FROM jsonb_array_elements_text(p.row -> 'attnames') e) AS published_columns,
    p.row ->> 'rowfilter' AS filter
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT to_jsonb(t) AS row FROM pg_publication_tables t WHERE t.pubname = $3) p
    ON p.row ->> 'schemaname' = n.nspname AND p.row ->> 'tablename' = c.relname
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`

async function readTable(database: Queryable, publication: string, table: CapturedTable): Promise<TableState> {
  const { rows } = await attempt('read the tables', () =>
    database.query<TableState>(READ_TABLE, [table.schema, table.table, publication]),
  )
  const state = rows[0]
  if (state !== undefined) return state
  const what = `the table ${qualifiedName(table)} does not exist in this database; run the migrations (ponix-migrate)`
  throw new ReplicationError('table_missing', what)
}

function checkTable(
  publication: string,
  tables: readonly CapturedTable[],
  table: CapturedTable,
  state: TableState,
): void {
  const name = qualifiedName(table)
  const needed = table.oldColumns.filter((column) => state.columns.includes(column))
  const carried = state.identity === 'f' ? state.columns : state.identity_columns
  const lost = needed.filter((column) => !carried.includes(column))
  if (lost.length > 0) {
    throw new ReplicationError(
      'replica_identity',
      `old rows of ${name} do not carry ${lost.join(', ')}, which the events need; ` +
        `run: ALTER TABLE ${escapedName(table)} REPLICA IDENTITY FULL`,
    )
  }
  const hidden = needed.filter((column) => state.published_columns?.includes(column) === false)
  const remedy = `SET TABLE ${tables.map(escapedName).join(', ')}`
  if (hidden.length > 0) {
    throw publicationError(publication, `leaves out columns of ${name} that events need: ${hidden.join(', ')}`, remedy)
  }
  if (state.filter !== null) throw publicationError(publication, `filters the rows of ${name}: ${state.filter}`, remedy)
}

async function publicationExists(database: Queryable, publication: string): Promise<boolean> {
  const { rows } = await attempt('read the publications', () =>
    database.query<{ whole: boolean }>(
      'SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AS whole FROM pg_publication WHERE pubname = $1',
      [publication],
    ),
  )
  if (rows[0]?.whole === false) {
    const remedy = `SET (publish = 'insert, update, delete, truncate')`
    throw publicationError(publication, 'leaves out some operations', remedy)
  }
  return rows.length > 0
}

async function createPublication(
  database: Queryable,
  publication: string,
  tables: readonly CapturedTable[],
): Promise<void> {
  const text = `CREATE PUBLICATION ${escapeIdentifier(publication)} FOR TABLE ${tables.map(escapedName).join(', ')}`
  try {
    await database.query(text)
  } catch (error) {
    const state = sqlState(error)
    if (state === '42710' || state === '23505') return addTables(database, publication, tables)
    throw replicationErrorFrom(error, `create the publication ${publication}; as an owner of the tables run: ${text}`)
  }
}

/** One at a time: another instance may be adding the same ones. */
async function addTables(database: Queryable, publication: string, tables: readonly CapturedTable[]): Promise<void> {
  for (const table of tables) {
    const text = `ALTER PUBLICATION ${escapeIdentifier(publication)} ADD TABLE ${escapedName(table)}`
    try {
      await database.query(text)
    } catch (error) {
      if (sqlState(error) === '42710') continue
      throw replicationErrorFrom(error, `add ${qualifiedName(table)} to the publication; as its owner run: ${text}`)
    }
  }
}

async function publishedTables(database: Queryable, publication: string): Promise<readonly string[]> {
  const { rows } = await attempt('read the publication', () =>
    database.query<{ name: string }>(
      `SELECT schemaname || '.' || tablename AS name FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1`,
      [publication],
    ),
  )
  return rows.map(({ name }) => name)
}

/** The remedy alters the publication in one step: a dropped and created one does not exist for the log before its creation. */
function publicationError(publication: string, what: string, remedy: string): ReplicationError {
  const statement = `ALTER PUBLICATION ${escapeIdentifier(publication)} ${remedy}`
  return new ReplicationError('publication', `the publication ${publication} ${what}; run: ${statement}`)
}
