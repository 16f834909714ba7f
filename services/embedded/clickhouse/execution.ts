import { isChunkable, type Answer, type Outcome } from './answer.ts'
import type { Engine, EngineConnection } from './engine.ts'
import { ClickHouseException } from './exception.ts'
import type { ArrivedQuery } from './query-body.ts'
import type { Pair, QueryRequest } from './query-request.ts'
import type { Sessions } from './sessions.ts'

/** Default limit of a result that is buffered in memory. */
const MAX_KEPT_RESULT_BYTES = 256 << 20

/** Runs a query on a new connection or the connection of its session, and answers before it releases the connection. */
export async function execute(
  host: { readonly engine: Engine; readonly sessions: Sessions; readonly database: string },
  request: QueryRequest,
  query: ArrivedQuery,
  signal: AbortSignal,
  answer: Answer,
): Promise<void> {
  if (request.session !== undefined) {
    return host.sessions.use(request.session, async (connection, finishing) => {
      const undo = await undoSql(connection, request, query)
      try {
        await answer.outcome(
          await run(connection, request, query, request.database, signal),
          request,
          signal,
          finishing,
        )
      } finally {
        await connection.query(undo, 'Null')
      }
    })
  }
  const connection = host.engine.connect()
  try {
    const database = request.database ?? host.database
    await answer.outcome(await run(connection, request, query, database, signal), request, signal, () => {})
  } finally {
    connection.close()
  }
}

async function run(
  connection: EngineConnection,
  request: QueryRequest,
  query: ArrivedQuery,
  database: string | undefined,
  signal: AbortSignal,
): Promise<Outcome> {
  const format = (query.kind === 'query' ? query.statement.format : undefined) ?? request.format
  const rows = query.kind === 'query' && query.statement.select
  const inChunks = rows && !request.whole && isChunkable(format)
  const settings = new Map<string, string>([
    ['implicit_select', '0'],
    ['log_comment', connection.marker],
    ...(rows && !inChunks ? [['max_result_bytes', String(MAX_KEPT_RESULT_BYTES)] as const] : []),
    ...request.settings,
  ])
  const parameters = [...request.parameters, ...(query.kind === 'query' ? query.parameters : [])]
  await connection.query(preludeSql(database, settings, parameters), 'Null', signal)
  if (inChunks) return { kind: 'chunks', format, chunks: connection.stream(query.sql, format, signal) }
  const readOnly = query.kind === 'query' && query.statement.readOnly
  const result = await connection.query(query.sql, format, readOnly ? signal : undefined)
  return { kind: 'whole', format, result, isInsert: query.kind === 'insert' }
}

/** Returns the statements that restore the settings and the database of a session after a request. */
async function undoSql(connection: EngineConnection, request: QueryRequest, query: ArrivedQuery): Promise<string> {
  const names = ['max_result_bytes', 'log_comment', ...request.settings.map(([name]) => name)]
  const list = names.map(literal).join(', ')
  const known = `SELECT name, value, changed FROM system.settings WHERE name IN (${list}) FORMAT JSONCompactEachRow`
  const before = text(await connection.query(`SELECT currentDatabase() FORMAT TabSeparatedRaw`, 'Null'))
  const assignments = text(await connection.query(known, 'Null'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => restoreSetting(JSON.parse(line)))
  const uses = query.kind === 'query' && /^\s*USE\b/i.test(query.sql)
  return [`SET ${assignments.join(', ')}`, ...(uses ? [] : [`USE ${identifier(before.trimEnd())}`])].join(';\n')
}

function restoreSetting([name, value, changed]: readonly [name: string, value: string, changed: number]): string {
  return `${name} = ${changed === 0 ? 'DEFAULT' : literal(value)}`
}

function text(result: { readonly bytes: Uint8Array }): string {
  return Buffer.from(result.bytes).toString()
}

/** Returns the statements that prepare a connection for a query. Throws a ClickHouseException. */
function preludeSql(database: string | undefined, settings: Iterable<Pair>, parameters: Iterable<Pair>): string {
  const assignments = [
    ...Array.from(settings, ([name, value]) => `${settingName(name)} = ${literal(value)}`),
    ...Array.from(parameters, ([name, value]) => `param_${parameterName(name)} = ${literal(value)}`),
  ]
  const use = database === undefined ? [] : [`USE ${identifier(database)}`]
  return [...use, `SET ${assignments.join(', ')}`].join(';\n')
}

/** Quotes an SQL string literal. */
function literal(value: string): string {
  return `'${value
    .replaceAll('\\', '\\\\')
    .replaceAll("'", String.raw`\'`)
    .replaceAll('\n', String.raw`\n`)}'`
}

/** Quotes an SQL identifier. */
export function identifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``
}

/** Returns the name of a setting; reports an impossible name as an unknown setting. */
function settingName(name: string): string {
  if (/^[A-Za-z_][\w.]*$/.test(name)) return name
  throw new ClickHouseException(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`)
}

function parameterName(name: string): string {
  if (/^\w+$/.test(name)) return name
  throw new ClickHouseException(36, 'BAD_ARGUMENTS', `'${name}' cannot be the name of a query parameter`)
}
