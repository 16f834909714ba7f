import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { type Figure, isMet, tableOf } from './figures.ts'

export interface ReportOptions {
  readonly json: boolean
  /** Whether to write the table to the document. */
  readonly write: boolean
  readonly document: string
}

/** Prints the figures. Sets exit code 1 if a goal is missed. */
export function report(bench: string, figures: readonly Figure[], { json, write, document }: ReportOptions): void {
  const rows = tableOf(figures)
  if (json) {
    const plain = figures.map((figure) => ({ ...figure, met: isMet(figure), peers: Object.fromEntries(figure.peers) }))
    console.log(JSON.stringify({ bench, machine: machineFacts(), figures: plain }, null, 2))
  } else console.log(`\n${terminalTable(rows)}\n\n${machineFacts()}`)
  if (write) writeSection(document, bench, `${markdownTable(rows)}\n\nMeasured on ${machineFacts()}.`)
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1
}

type Rows = readonly (readonly string[])[]

/** Aligned columns for a terminal. */
function terminalTable(rows: Rows): string {
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

/** A Markdown table in the layout of the project's formatter. */
function markdownTable(rows: Rows): string {
  const widths = widthsOf(rows).map((width) => Math.max(3, width))
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const [head = [], ...body] = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)))
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n')
}

function widthsOf(rows: Rows): number[] {
  const columns = Math.max(...rows.map((row) => row.length))
  return Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
}

/** The properties of the machine that the figures depend on, without its name. */
function machineFacts(): string {
  const processors = cpus()
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${processors.length} cores (${processors[0]?.model ?? 'unknown'}), ${memory} GiB, ${process.platform}, Node ${process.versions.node}`
}

const START = (name: string) => `<!-- ${name}: made by npm run bench ${name} -- --write -->`
const END = (name: string) => `<!-- end of ${name} -->`

/** Replaces the section of a benchmark in a document, or appends it. */
function writeSection(path: string, name: string, text: string): void {
  const document = readFileSync(path, 'utf8')
  const section = `${START(name)}\n\n${text}\n\n${END(name)}`
  const from = document.indexOf(START(name))
  const to = document.indexOf(END(name))
  const changed =
    from < 0 || to < from
      ? `${document.trimEnd()}\n\n${section}\n`
      : document.slice(0, from) + section + document.slice(to + END(name).length)
  writeFileSync(path, changed)
}
