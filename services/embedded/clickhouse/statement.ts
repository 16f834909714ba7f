import { sqlTokens, type SqlToken } from '../../../src/clickhouse/sql-tokens.ts'

/** Properties of a request's SQL that determine how it is run. */
export type Statement =
  | { readonly kind: 'empty' }
  /** More than one statement, which HTTP requests must not have. `at` is the offset of the second. */
  | { readonly kind: 'several'; readonly at: number }
  | Query
  | InsertWithData

/** A statement without inline data. */
export interface Query {
  readonly kind: 'query'
  /** True if it changes nothing: GET can run it, and a disconnected client cancels it. */
  readonly readOnly: boolean
  /** True if it returns rows that can be streamed. */
  readonly select: boolean
  /** Format of its FORMAT clause. */
  readonly format: string | undefined
}

/** `INSERT … FORMAT X` or `INSERT … VALUES`, followed by data. */
export interface InsertWithData {
  readonly kind: 'insert'
  /** Offset for `FROM INFILE`: after the table and its columns. */
  readonly sourceAt: number
  /** Start of the FORMAT or VALUES keyword. */
  readonly formatAt: number
  readonly format: string
  /** Offset of the first byte of data. */
  readonly dataAt: number
}

const READ_ONLY = new Set(['SELECT', 'WITH', 'FROM', 'SHOW', 'DESCRIBE', 'DESC', 'EXPLAIN', 'EXISTS', 'SET', 'USE'])
const ROWS = new Set(['SELECT', 'WITH', 'FROM'])

/** Analyses a statement; reads an INSERT only up to its data. */
export function analyseStatement(sql: string): Statement {
  const tokens = sqlTokens(sql, 'ClickHouse')
  const first = tokens.next()
  if (first.done === true || first.value.text === ';') return { kind: 'empty' }
  if (isWord(first.value, 'INSERT')) {
    const insert = analyseInsert(sql)
    if (insert !== undefined) return insert
  }
  return analyseQuery(first.value, tokens)
}

function analyseQuery(first: SqlToken, rest: Iterable<SqlToken>): Statement {
  const outermost: SqlToken[] = []
  let depth = first.text === '(' ? 1 : 0
  let inserts = isWord(first, 'INSERT')
  let ended = false
  for (const token of rest) {
    if (ended && token.text !== ';') return { kind: 'several', at: token.start }
    if (token.text === '(' || token.text === '[' || token.text === '{') depth++
    else if (token.text === ')' || token.text === ']' || token.text === '}') depth--
    else if (depth > 0) continue
    else if (token.text === ';') ended = true
    else {
      inserts ||= isWord(token, 'INSERT')
      outermost.push(token)
    }
  }
  const keyword = first.text === '(' ? 'SELECT' : first.text.toUpperCase()
  return {
    kind: 'query',
    readOnly: READ_ONLY.has(keyword) && !inserts,
    select: ROWS.has(keyword) && !inserts,
    format: formatClause(outermost),
  }
}

/** Returns the format of the FORMAT clause, which ends a query or precedes SETTINGS; elsewhere `format` can be a name. */
function formatClause(outermost: readonly SqlToken[]): string | undefined {
  for (let i = outermost.length - 2; i >= 0; i--) {
    const [keyword, name, next] = outermost.slice(i, i + 3)
    if (keyword === undefined || !isWord(keyword, 'FORMAT') || name?.kind !== 'word') continue
    if (next === undefined || isWord(next, 'SETTINGS')) return name.text
  }
  return undefined
}

function analyseInsert(sql: string): InsertWithData | undefined {
  const tokens = sqlTokens(sql, 'ClickHouse')
  let depth = 0
  /** `into`: before the table's name; `name`: within it; `rest`: in the clauses after it. */
  let place: 'into' | 'name' | 'rest' = 'into'
  let settingsAt: number | undefined
  for (const token of tokens) {
    if (token.text === '(' || token.text === '[' || token.text === '{') {
      depth++
      if (place === 'into') place = 'name'
    } else if (token.text === ')' || token.text === ']' || token.text === '}') depth--
    else if (depth > 0) continue
    else if (place === 'into') place = isWord(token, 'INSERT', 'INTO', 'TABLE', 'FUNCTION') ? 'into' : 'name'
    else if (place === 'name' && token.text === '.') place = 'into'
    else {
      place = 'rest'
      if (isWord(token, 'SELECT', 'WITH', 'FROM', 'WATCH', 'EXPLAIN') || token.text === ';') return undefined
      if (isWord(token, 'SETTINGS')) settingsAt ??= token.start
      if (isWord(token, 'FORMAT', 'VALUES')) {
        return insertWithData(sql, token, tokens.next().value, settingsAt ?? token.start)
      }
    }
  }
  return undefined
}

function insertWithData(
  sql: string,
  keyword: SqlToken,
  next: SqlToken | void,
  sourceAt: number,
): InsertWithData | undefined {
  if (isWord(keyword, 'VALUES')) {
    return { kind: 'insert', sourceAt, formatAt: keyword.start, format: 'Values', dataAt: keyword.end }
  }
  if (next?.kind !== 'word') return undefined
  const blank = /[ \t\f\v]*\r?\n?/y
  blank.lastIndex = next.end
  blank.test(sql)
  return { kind: 'insert', sourceAt, formatAt: keyword.start, format: next.text, dataAt: blank.lastIndex }
}

function isWord(token: SqlToken, ...words: readonly string[]): boolean {
  return token.kind === 'word' && words.includes(token.text.toUpperCase())
}
