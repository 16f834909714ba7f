import { formatDuration } from './duration.ts'
import type { ProcessStatus } from '../control/status.ts'

type Cell = (process: ProcessStatus) => string

const COLUMNS: readonly { readonly head: string; readonly right: boolean; readonly cell: Cell }[] = [
  { head: 'NAME', right: false, cell: ({ name }) => name },
  { head: 'STATE', right: false, cell: ({ state }) => state },
  { head: 'PID', right: true, cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
  { head: 'UP', right: true, cell: ({ uptime_ms }) => (uptime_ms === null ? '-' : formatDuration(uptime_ms)) },
  { head: 'RESTARTS', right: true, cell: ({ restarts }) => String(restarts) },
  { head: 'CPU', right: true, cell: ({ cpu_percent }) => (cpu_percent === null ? '-' : `${cpu_percent.toFixed(1)} %`) },
  { head: 'MEMORY', right: true, cell: ({ memory_bytes }) => (memory_bytes === null ? '-' : megabytes(memory_bytes)) },
  { head: '', right: false, cell: (process) => process.reason ?? lastExit(process) },
]

const COLOURS: Readonly<Record<string, number>> = {
  ready: 32,
  running: 32,
  completed: 32,
  unhealthy: 31,
  failed: 31,
  backoff: 33,
  stopping: 33,
  starting: 33,
  skipped: 33,
}

/** A line for each process, under a heading. */
export function renderStatus(processes: readonly ProcessStatus[], colour: boolean): string {
  const rows = [
    COLUMNS.map(({ head }) => head),
    ...processes.map((process) => COLUMNS.map(({ cell }) => cell(process))),
  ]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row, index) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      const padded = COLUMNS[column]?.right === true ? cell.padStart(width) : cell.padEnd(width)
      const code = colour && index > 0 && COLUMNS[column]?.head === 'STATE' ? COLOURS[cell] : undefined
      return code === undefined ? padded : `\u001b[${code}m${padded}\u001b[39m`
    })
    return cells.join('  ').trimEnd()
  })
  return `${lines.join('\n')}\n`
}

function lastExit({ state, exit_code, signal }: ProcessStatus): string {
  if (state !== 'backoff') return ''
  if (signal !== null) return `last ended by ${signal}`
  return exit_code === null ? '' : `last exit code ${exit_code}`
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}
