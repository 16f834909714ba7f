import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Figure, isMet, tableOf } from './figures.ts'

export interface BenchOptions {
  /** The root of the repository. */
  readonly root: string
  /** A folder for temporary files. */
  readonly scratch: string
  /** Ids of the measurements to run. */
  readonly only: readonly string[]
  readonly rounds: number
  /** Whether to run without the programs to compare with. */
  readonly alone: boolean
  readonly profile: boolean
}

/** Runs a bench with the options of the command line, prints the figures and exits: with code 1 if a goal is missed. */
export async function runBench(
  bench: string,
  ids: readonly string[],
  measure: (options: BenchOptions) => Promise<readonly Figure[]>,
): Promise<never> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      alone: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [...ids] },
      rounds: { type: 'string', default: '5' },
    },
  })
  const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
  mkdirSync(join(root, '.ponix/bench'), { recursive: true })
  const scratch = mkdtempSync(join(root, `.ponix/bench/${bench}-`))
  try {
    const figures = await measure({ ...values, root, scratch, rounds: Number(values.rounds) })
    report(bench, figures, { ...values, document: join(root, 'docs/measurements.md') })
  } finally {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
  }
  process.exit()
}

/** Prints the figures, and writes their table to the document if `write` is set. Sets exit code 1 if a goal is missed. */
function report(
  bench: string,
  figures: readonly Figure[],
  { json, write, document }: { readonly json: boolean; readonly write: boolean; readonly document: string },
): void {
  const rows = tableOf(figures)
  if (json) {
    const plain = figures.map((figure) => ({
      ...figure,
      met: isMet(figure),
      beside: figure.beside ?? null,
      peers: Object.fromEntries(figure.peers ?? []),
    }))
    console.log(JSON.stringify({ bench, machine: machineFacts(), figures: plain }, null, 2))
  } else console.log(`\n${terminalTable(rows)}\n\n${machineFacts()}`)
  if (write) writeSection(document, bench, `${markdownTable(rows)}\n\nMeasured on ${machineFacts()}.`)
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1
}

type Rows = readonly (readonly string[])[]

/** Renders aligned columns for a terminal. */
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

/** Renders a Markdown table in the layout of the project's formatter. */
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

/** Describes the properties of the machine that the figures depend on, without its name. */
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
