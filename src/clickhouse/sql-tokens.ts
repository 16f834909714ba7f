/** A token of SQL; comments and white space are not tokens. */
export interface SqlToken {
  /** `word`: keyword or bare name. `quoted`: quoted name. `text`: string literal. `unclosed`: quote or comment without an end. */
  readonly kind: 'word' | 'quoted' | 'text' | 'number' | 'symbol' | 'unclosed'
  readonly text: string
  /** Offset of the first character. */
  readonly start: number
  /** Offset after the last character. */
  readonly end: number
}

/**
 * In ClickHouse, `\'` does not end a '…' literal (in PostgreSQL only in E'…'), `# …` and `#!…` are comments, and block comments do
 * not nest.
 */
export type SqlDialect = 'ClickHouse' | 'PostgreSQL'

const SPACE = /[\s\u00a0]+/y
const LINE_COMMENT = /--[^\n]*/y
const HASH_COMMENT = /#[ !][^\n]*/y
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const NUMBER = /\d[\w.]*/y
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y

/** Yields tokens lazily: reads no further than the caller iterates. */
export function* sqlTokens(sql: string, dialect: SqlDialect): Generator<SqlToken, void, undefined> {
  let at = 0
  while (at < sql.length) {
    const skipped = behindBlank(sql, at, dialect)
    if (skipped > at) {
      at = skipped
      continue
    }
    const token = tokenAt(sql, at, dialect)
    yield token
    at = token.end
  }
}

/** Returns the offset after the white space or comment at `at`; `at` if there is none. */
function behindBlank(sql: string, at: number, dialect: SqlDialect): number {
  const found =
    match(SPACE, sql, at) ??
    match(LINE_COMMENT, sql, at) ??
    (dialect === 'ClickHouse' ? match(HASH_COMMENT, sql, at) : undefined)
  if (found !== undefined) return found
  if (!sql.startsWith('/*', at)) return at
  return blockCommentEnd(sql, at, dialect === 'PostgreSQL') ?? at
}

function tokenAt(sql: string, at: number, dialect: SqlDialect): SqlToken {
  const token = (kind: SqlToken['kind'], end: number): SqlToken => ({ kind, text: sql.slice(at, end), start: at, end })
  const quoted = (kind: SqlToken['kind'], openAt: number, backslashEscapes: boolean): SqlToken => {
    const end = quotedEnd(sql, openAt, backslashEscapes)
    return end === undefined ? token('unclosed', sql.length) : token(kind, end)
  }
  const backslashEscapes = dialect === 'ClickHouse'
  const quote = sql[at]
  if (quote === "'") return quoted('text', at, backslashEscapes)
  if (quote === '"' || (quote === '`' && backslashEscapes)) return quoted('quoted', at, backslashEscapes)
  if (!backslashEscapes && /^[eE]'/.test(sql.slice(at, at + 2))) return quoted('text', at + 1, true)
  const tag = match(DOLLAR_TAG, sql, at)
  if (tag !== undefined) {
    const close = sql.indexOf(sql.slice(at, tag), tag)
    return close === -1 ? token('unclosed', sql.length) : token('text', close + tag - at)
  }
  if (sql.startsWith('/*', at)) return token('unclosed', sql.length)
  const word = match(WORD, sql, at)
  if (word !== undefined) return token('word', word)
  const number = match(NUMBER, sql, at)
  return number === undefined ? token('symbol', at + 1) : token('number', number)
}

/** Returns the offset after the closing quote that matches the quote at `at`. */
function quotedEnd(sql: string, at: number, backslashEscapes: boolean): number | undefined {
  for (let i = at + 1; i < sql.length; i++) {
    if (sql[i] === '\\' && backslashEscapes) i++
    else if (sql[i] === sql[at]) {
      if (sql[i + 1] !== sql[at]) return i + 1
      i++
    }
  }
  return undefined
}

function blockCommentEnd(sql: string, at: number, nested: boolean): number | undefined {
  let depth = 1
  for (let i = at + 2; i < sql.length;) {
    if (sql.startsWith('*/', i)) {
      i += 2
      if (--depth === 0) return i
    } else if (nested && sql.startsWith('/*', i)) {
      depth++
      i += 2
    } else i++
  }
  return undefined
}

function match(pattern: RegExp, sql: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(sql) ? pattern.lastIndex : undefined
}
