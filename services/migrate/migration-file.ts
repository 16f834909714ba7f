import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type SqlDialect, sqlTokens } from '../../src/clickhouse/sql-tokens.ts'
import { MigrationError } from '../../src/domain/errors.ts'

/** A file `0001_name.sql` with an up and a down part. */
export interface MigrationFile {
  /** `0001_name`; migrations are ordered by name. */
  readonly name: string
  readonly path: string
  /** SHA-256 of the text with line feeds as line ends. */
  readonly checksum: string
  readonly up: readonly SqlStatement[]
  readonly down: readonly SqlStatement[]
}

const FILE_NAME = /^\d{4}_[a-z0-9_]+\.sql$/
const PART = /^--[ \t]*migrate:(up|down)[ \t]*$/

/** Reads the migrations of a folder in order. Throws a MigrationError that names the file and the mistake. */
export async function readMigrations(directory: string, dialect: SqlDialect): Promise<readonly MigrationFile[]> {
  const names = await filesIn(directory)
  const files: MigrationFile[] = []
  for (const name of names) {
    const path = join(directory, name)
    files.push(parseMigration(path, await readFile(path, 'utf8'), dialect))
  }
  for (const [index, file] of files.entries()) {
    const next = files[index + 1]
    if (next !== undefined && numberOf(file) === numberOf(next)) {
      throw new MigrationError(
        `${file.path} and ${next.path} have the same number: give one of them the next free number`,
      )
    }
  }
  return files
}

export function parseMigration(path: string, text: string, dialect: SqlDialect): MigrationFile {
  const normal = text.replaceAll('\r\n', '\n')
  const parts = new Map<string, readonly SqlStatement[]>()
  const lines = normal.split('\n')
  const heads = lines.flatMap((line, index) => {
    const part = PART.exec(line)?.[1]
    return part === undefined ? [] : [{ part, index }]
  })
  for (const [i, { part, index }] of heads.entries()) {
    if (parts.has(part)) throw new MigrationError(`${path}:${index + 1}: a second '-- migrate:${part}'; expected one`)
    const body = lines.slice(index + 1, heads[i + 1]?.index).join('\n')
    parts.set(part, splitStatements(body, dialect, index + 2))
  }
  const up = parts.get('up')
  const down = parts.get('down')
  if (up === undefined || up.length === 0) throw missing(path, 'up')
  if (down === undefined) throw missing(path, 'down')
  const checksum = createHash('sha256').update(normal).digest('hex')
  return { name: basename(path, '.sql'), path, checksum, up, down }
}

async function filesIn(directory: string): Promise<readonly string[]> {
  let entries: string[]
  try {
    entries = await readdir(directory)
  } catch (error) {
    throw new MigrationError(`cannot read the migrations folder ${directory}`, { cause: error })
  }
  const sql = entries.filter((name) => name.endsWith('.sql')).sort()
  const odd = sql.find((name) => !FILE_NAME.test(name))
  if (odd !== undefined) {
    const path = join(directory, odd)
    throw new MigrationError(`${path} is not a valid name of a migration; expected 0001_what_it_does.sql`)
  }
  if (sql.length === 0) throw new MigrationError(`no migrations (0001_name.sql) in ${directory}`)
  return sql
}

function missing(path: string, part: 'up' | 'down'): MigrationError {
  return new MigrationError(`${path} has no part '-- migrate:${part}' with statements below it`)
}

function numberOf(file: MigrationFile): string {
  return file.name.slice(0, 4)
}

/** One SQL statement of a file. */
export interface SqlStatement {
  /** The text without the closing semicolon, with inner comments. */
  readonly sql: string
  /** Line of its first word in the file, from 1. */
  readonly line: number
}

/**
 * Splits SQL that begins at `firstLine` of a file at semicolons outside of quotes, comments and dollar quotes. PostgreSQL's
 * BEGIN ATOMIC bodies are not recognized; write them in dollar quotes.
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

function linesIn(text: string, offset: number): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) lines++
  return lines
}
