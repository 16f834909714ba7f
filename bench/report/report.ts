import { writeSection } from './document.ts'
import { type Figure, isMet, tableOf } from './figures.ts'
import { machineFacts, markdownTable, terminalTable } from './table.ts'

export interface ReportOptions {
  readonly json: boolean
  /** Whether the table goes into the document too. */
  readonly write: boolean
  readonly document: string
}

/** Says what was measured. The exit code is 1 if a goal was missed. */
export function report(bench: string, figures: readonly Figure[], { json, write, document }: ReportOptions): void {
  const rows = tableOf(figures)
  if (json) {
    const plain = figures.map((figure) => ({ ...figure, met: isMet(figure), peers: Object.fromEntries(figure.peers) }))
    console.log(JSON.stringify({ bench, machine: machineFacts(), figures: plain }, null, 2))
  } else console.log(`\n${terminalTable(rows)}\n\n${machineFacts()}`)
  if (write) writeSection(document, bench, `${markdownTable(rows)}\n\nMeasured on ${machineFacts()}.`)
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1
}
