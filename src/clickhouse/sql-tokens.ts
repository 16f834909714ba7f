/** A token of SQL; comments and white space are not tokens. */
export interface SqlToken {
  /** `word`: keyword or bare name. `quoted`: quoted name. `text`: string literal. `unclosed`: quote or comment without an end. */
  readonly kind: 'word' | 'quoted' | 'text' | 'number' | 'symbol' | 'unclosed'
  readonly text: string
  /** Offset of the first character. */
  readonly start: number
  /** Offset behind the last character. */
  readonly end: number
}

/** Lexical differences between the two databases. */
export interface SqlDialect {
  /** `\'` does not end a '…' literal. In PostgreSQL only in E'…'. */
  readonly backslashEscapes: boolean
  /** Block comments nest. */
  readonly nestedComments: boolean
  /** `# …` and `#!…` are comments. */
  readonly hashComments: boolean
}

export const CLICKHOUSE_SQL: SqlDialect = { backslashEscapes: true, nestedComments: false, hashComments: true }
export const POSTGRES_SQL: SqlDialect = { backslashEscapes: false, nestedComments: true, hashComments: false }

const SPACE = /[\s\u00a0]+/y
const LINE_COMMENT = /--[^\n]*/y
const HASH_COMMENT = /#[ !][^\n]*/y
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const NUMBER = /\d[\w.]*/y
const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y

/** Lazy: reads no further than the caller iterates. */
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

/** Offset behind the white space or comment at `at`; `at` without one. */
function behindBlank(sql: string, at: number, dialect: SqlDialect): number {
  const found = match(SPACE, sql, at) ?? match(LINE_COMMENT, sql, at)
  if (found !== undefined) return found
  if (dialect.hashComments) {
    const hash = match(HASH_COMMENT, sql, at)
    if (hash !== undefined) return hash
  }
  if (!sql.startsWith('/*', at)) return at
  return blockCommentEnd(sql, at, dialect.nestedComments) ?? at
}

function tokenAt(sql: string, at: number, dialect: SqlDialect): SqlToken {
  const token = (kind: SqlToken['kind'], end: number): SqlToken => ({ kind, text: sql.slice(at, end), start: at, end })
  const quote = sql[at]
  if (quote === "'") return quotedToken(token, quotedEnd(sql, at, quote, dialect.backslashEscapes), 'text')
  if (quote === '"' || (quote === '`' && dialect.backslashEscapes)) {
    return quotedToken(token, quotedEnd(sql, at, quote, dialect.backslashEscapes), 'quoted')
  }
  if (!dialect.backslashEscapes && /^[eE]'/.test(sql.slice(at, at + 2))) {
    return quotedToken(token, quotedEnd(sql, at + 1, "'", true), 'text')
  }
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

function quotedToken(
  token: (kind: SqlToken['kind'], end: number) => SqlToken,
  end: number,
  kind: SqlToken['kind'],
): SqlToken {
  return end < 0 ? token('unclosed', -end) : token(kind, end)
}

/** Offset behind the closing quote; minus the length of the SQL without one. */
function quotedEnd(sql: string, at: number, quote: string, backslashEscapes: boolean): number {
  for (let i = at + 1; i < sql.length; i++) {
    const character = sql[i]
    if (character === '\\' && backslashEscapes) i++
    else if (character === quote) {
      if (sql[i + 1] !== quote) return i + 1
      i++
    }
  }
  return -sql.length
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
