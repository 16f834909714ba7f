import { cpus, totalmem } from 'node:os'

type Rows = readonly (readonly string[])[]

/** Aligned columns for a terminal. */
export function terminalTable(rows: Rows): string {
  const widths = widthsOf(rows)
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The same in Markdown, laid out as the project's formatter does it. */
export function markdownTable(rows: Rows): string {
  const widths = widthsOf(rows).map((width) => Math.max(3, width))
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const [head = [], ...body] = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)))
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

function widthsOf(rows: Rows): number[] {
  const columns = Math.max(...rows.map((row) => row.length))
  return Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
}

/** What the figures depend on: never the name of the machine. */
export function machineFacts(): string {
  const processors = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${processors.length} cores (${processors[0]?.model ?? 'unknown'}), ${memory} GiB, ${process.platform}, Node ${process.versions.node}`
}
