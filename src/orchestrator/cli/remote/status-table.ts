import { stripVTControlCharacters } from 'node:util'
import type { ProcessStatus } from '../../control/protocol.ts'
import { formatDuration } from '../../supervisor/duration.ts'
import { shortNames } from '../../supervisor/output/short-names.ts'
import { columnsOf, showsColour } from '../options.ts'

type Cell = (status: ProcessStatus) => string

const COLUMNS: readonly { readonly head: string; readonly right: boolean; readonly cell: Cell }[] = [
  { head: 'NAME', right: false, cell: ({ name }) => name },
  { head: 'STATE', right: false, cell: ({ state }) => state },
  { head: 'PID', right: true, cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
  { head: 'UP', right: true, cell: ({ uptime_ms }) => (uptime_ms === null ? '-' : formatDuration(uptime_ms)) },
  { head: 'RESTARTS', right: true, cell: ({ restarts }) => String(restarts) },
  { head: 'CPU', right: true, cell: ({ cpu_percent }) => (cpu_percent === null ? '-' : `${cpu_percent.toFixed(1)} %`) },
  { head: 'MEMORY', right: true, cell: ({ memory_bytes }) => (memory_bytes === null ? '-' : megabytes(memory_bytes)) },
  { head: 'DETAIL', right: false, cell: ({ detail }) => detail ?? '' },
]

const GREEN = 32
const RED = 31
const YELLOW = 33
const COLOURS: Readonly<Record<string, number>> = {
  ready: GREEN,
  running: GREEN,
  completed: GREEN,
  unhealthy: RED,
  failed: RED,
  backoff: YELLOW,
  stopping: YELLOW,
  starting: YELLOW,
  skipped: YELLOW,
}

/** The colours of the states in the order of urgency; undefined: a state without a colour, such as `waiting`. */
const URGENCY = [RED, YELLOW, undefined, GREEN]

/** The names of a narrow terminal are not shorter than this. */
const MIN_NAME_LENGTH = 8

/**
 * Renders a heading and a line for each process, and then a line for all processes that were left out for the same reason. `width`:
 * the columns of the terminal, null without one; in a terminal that is too narrow, the detail of a process has a line of its own,
 * and long names are shortened.
 */
export function renderStatus(processes: readonly ProcessStatus[], width: number | null): string {
  const shown = processes.filter((status) => !isLeftOut(status))
  const table = shown.length === 0 ? [] : fittingTable(shown, width)
  return [...table, ...leftOutLines(processes.filter(isLeftOut))].map((line) => `${line}\n`).join('')
}

/** Returns the processes with problems first, then those that are not ready, then the ready ones; left-out ones are last. */
export function mostUrgentFirst(processes: readonly ProcessStatus[]): readonly ProcessStatus[] {
  const rank = (status: ProcessStatus) => (isLeftOut(status) ? URGENCY.length : URGENCY.indexOf(COLOURS[status.state]))
  return processes.toSorted((a, b) => rank(a) - rank(b))
}

function isLeftOut({ state }: ProcessStatus): boolean {
  return state === 'disabled'
}

function leftOutLines(processes: readonly ProcessStatus[]): readonly string[] {
  const reasons = new Set(processes.map(({ reason }) => reason ?? 'disabled'))
  return Array.from(reasons, (reason) => {
    const names = processes.flatMap((status) => ((status.reason ?? 'disabled') === reason ? [status.name] : []))
    const title = reason.replace(/^(?:was|is) /, '').replace(/^belongs to /, 'in ')
    return `${title}: ${names.join(', ')}`
  })
}

function fittingTable(processes: readonly ProcessStatus[], width: number | null): readonly string[] {
  const whole = renderTable(processes, COLUMNS)
  if (width === null || widthOf(whole) <= width) return whole
  const [head = '', ...rows] = renderTable(withShortNames(processes, width), COLUMNS.slice(0, -1))
  const details = processes.map(({ detail }) => (detail === null ? [] : [`    ${detail}`]))
  return [head, ...rows.flatMap((row, index) => [row, ...(details[index] ?? [])])]
}

/** Shortens names by what the table without details is too wide. */
function withShortNames(processes: readonly ProcessStatus[], width: number): readonly ProcessStatus[] {
  const names = processes.map(({ name }) => name)
  const excess = widthOf(renderTable(processes, COLUMNS.slice(0, -1))) - width
  const limit = Math.max(MIN_NAME_LENGTH, ...names.map(({ length }) => length - excess))
  const labels = shortNames(names, limit)
  return excess <= 0
    ? processes
    : processes.map((status) => ({ ...status, name: labels.get(status.name) ?? status.name }))
}

function widthOf(lines: readonly string[]): number {
  return Math.max(...lines.map((line) => stripVTControlCharacters(line).length))
}

/** Renders the status for a part of the output of a terminal: no line is wider than the terminal. */
export function statusLines(processes: readonly ProcessStatus[]): string {
  const width = columnsOf(process.stdout)
  const table = renderStatus(processes, width)
  return width === null ? table : cutLines(table, width)
}

/** Returns lines, each cut to the width of the terminal; a cut line ends with an ellipsis. Colours are kept. */
export function cutLines(lines: string, width: number): string {
  return lines
    .split('\n')
    .map((line) => cut(line, width))
    .join('\n')
}

function cut(line: string, width: number): string {
  if (stripVTControlCharacters(line).length <= width) return line
  let left = width
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return line.replaceAll(/\u001b\[[\d;]*m|./gu, (part) => {
    if (part.startsWith('\u001b')) return part
    left -= 1
    if (left === 0) return '…'
    return left > 0 ? part : ''
  })
}

/** Returns the lines of a table. */
function renderTable(processes: readonly ProcessStatus[], shown: typeof COLUMNS): readonly string[] {
  const colour = showsColour(process.stdout)
  const columns = shown.map(({ head, right, cell }) => {
    const cells = [head, ...processes.map(cell)]
    const width = Math.max(...cells.map(({ length }) => length))
    return cells.map((text, row) => {
      const padded = right ? text.padStart(width) : text.padEnd(width)
      const code = colour && row > 0 && head === 'STATE' ? COLOURS[text] : undefined
      return code === undefined ? padded : `\u001b[${code}m${padded}\u001b[39m`
    })
  })
  const lines = [null, ...processes].map((_, row) => columns.map((cells) => cells[row]).join('  '))
  return lines.map((line) => line.trimEnd())
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}
