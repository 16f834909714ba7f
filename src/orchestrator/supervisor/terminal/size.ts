/** The size of a terminal in characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** The size where there is no terminal, as in Docker and most CI systems. */
export const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 }

const MIN_COLUMNS = 20
const MAX = 10_000

/** Returns the size that is left beside a prefix of `prefixWidth` columns; the default size if `size` is null. */
export function sizeBesidePrefix(size: TerminalSize | null, prefixWidth: number): TerminalSize {
  if (size === null) return DEFAULT_SIZE
  return { columns: Math.max(MIN_COLUMNS, size.columns - prefixWidth), rows: size.rows }
}

/** Returns the largest size that fits into all of `sizes`; null if there are none. */
export function smallest(sizes: Iterable<TerminalSize>): TerminalSize | null {
  const all = [...sizes]
  if (all.length === 0) return null
  return { columns: Math.min(...all.map(({ columns }) => columns)), rows: Math.min(...all.map(({ rows }) => rows)) }
}

/** Returns the size of an output stream; null if it is not a terminal, or a terminal of unknown size. */
export function sizeOf(stream: object): TerminalSize | null {
  const columns: unknown = Reflect.get(stream, 'columns')
  const rows: unknown = Reflect.get(stream, 'rows')
  if (Reflect.get(stream, 'isTTY') !== true || !isLength(columns) || !isLength(rows)) return null
  return { columns, rows }
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX
}
