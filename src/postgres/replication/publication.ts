import { escapeIdentifier, type Pool } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import { attempt, replicationErrorFrom, sqlState } from '../errors.ts'
import { escapedName, qualifiedName, type CapturedTable } from './change.ts'

export type Queryable = Pick<Pool, 'query'>

/**
 * Ensures the publication covers all captured tables, columns and operations: creates it, or adds missing tables. Returns
 * the added tables, and others that it contains, whose changes are skipped. Throws a ReplicationError: `table_missing`, `rights`,
 * `publication`, `replica_identity`.
 */
export async function ensurePublication(database: Queryable, publication: string, tables: readonly CapturedTable[]) {
  const missing: CapturedTable[] = []
  for (const table of tables) {
    const state = await readTable(database, publication, table)
    checkTable(publication, tables, table, state)
    if (!state.published) missing.push(table)
  }
  const exists = await publicationExists(database, publication)
  if (!exists) await createPublication(database, publication, missing)
  else await addTables(database, publication, missing)
  const published = await publishedTables(database, publication)
  const wanted = new Set(tables.map(qualifiedName))
  return {
    created: !exists,
    added: missing.map(qualifiedName),
    others: published.filter((name) => !wanted.has(name)),
  }
}

interface TableState extends Record<string, unknown> {
  /** The replica identity (pg_class.relreplident): d (default), n (nothing), f (full) or i (index). */
  readonly identity: string
  readonly identity_columns: string[]
  readonly columns: string[]
  readonly published: boolean
  /** The column list; null before PostgreSQL 15, which has no column lists. */
  readonly published_columns: string[] | null
  readonly filter: string | null
}

/** The query. It reads pg_publication_tables through jsonb, because its columns differ between versions. */
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
  const name = qualifiedName(table)
  const message = `the table ${name} does not exist in this database; run the migrations (ponix-migrate up)`
  throw new ReplicationError('table_missing', message)
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
      `old rows of ${name} lack ${lost.join(', ')}, which the events need; ` +
        `run: ALTER TABLE ${escapedName(table)} REPLICA IDENTITY FULL`,
    )
  }
  const hidden = needed.filter((column) => state.published_columns?.includes(column) === false)
  const remedy = `SET TABLE ${tables.map(escapedName).join(', ')}`
  if (hidden.length > 0) {
    throw publicationError(publication, `omits columns of ${name} that events need: ${hidden.join(', ')}`, remedy)
  }
  if (state.filter !== null) throw publicationError(publication, `filters the rows of ${name}: ${state.filter}`, remedy)
}

async function publicationExists(database: Queryable, publication: string): Promise<boolean> {
  const { rows } = await attempt('read the publications', () =>
    database.query<{ complete: boolean }>(
      'SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AS complete FROM pg_publication WHERE pubname = $1',
      [publication],
    ),
  )
  if (rows[0]?.complete === false) {
    const remedy = `SET (publish = 'insert, update, delete, truncate')`
    throw publicationError(publication, 'omits some operations', remedy)
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

/** Adds one table at a time, because another instance may be adding the same tables. */
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

/** Returns an error whose remedy alters the publication in place: a recreated publication does not exist in the earlier log. */
function publicationError(publication: string, problem: string, remedy: string): ReplicationError {
  const statement = `ALTER PUBLICATION ${escapeIdentifier(publication)} ${remedy}`
  return new ReplicationError('publication', `the publication ${publication} ${problem}; run: ${statement}`)
}
