import { sqlTokens, type SqlDialect } from '../../src/clickhouse/sql-tokens.ts'

/** One SQL statement of a file. */
export interface SqlStatement {
  /** Without the closing semicolon; comments within it are kept. */
  readonly sql: string
  /** Of its first word in the file, counted from 1. */
  readonly line: number
}

/**
 * The statements of SQL that begins at a line of a file, split at semicolons outside of quotes, comments and dollar quotes.
 * (PostgreSQL's BEGIN ATOMIC bodies are not known; write them in dollar quotes.)
 */
export function splitStatements(sql: string, dialect: SqlDialect, firstLine = 1): readonly SqlStatement[] {
  const statements: SqlStatement[] = []
  let start: number | undefined
  let end = 0
  const close = (): void => {
    if (start !== undefined) statements.push({ sql: sql.slice(start, end), line: firstLine + linesIn(sql, start) })
    start = undefined
  }
  for (const token of sqlTokens(sql, dialect)) {
    if (token.kind === 'symbol' && token.text === ';') close()
    else {
      start ??= token.start
      end = token.end
    }
  }
  close()
  return statements
}

/** How many lines end before the offset. */
function linesIn(text: string, offset: number): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
