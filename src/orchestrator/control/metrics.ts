import { constants } from 'node:os'
import type { ProcessStatus, StatusAnswer } from './protocol.ts'

interface Metric {
  readonly type: 'gauge' | 'counter'
  readonly help: string
  /** Returns the value; null omits the sample. */
  readonly value: (status: ProcessStatus) => number | null
}

const METRICS: Readonly<Record<string, Metric>> = {
  ponix_process_ready: {
    type: 'gauge',
    help: '1 if the process is ready, or a task that its schedule runs; omitted for a process that is left out of the run.',
    value: ({ ready, state }) => (state === 'disabled' ? null : Number(ready)),
  },
  ponix_process_restarts_total: {
    type: 'counter',
    help: 'Restarts after unexpected exits, not those by a command, a reload, a change of a file or a schedule.',
    value: ({ restarts }) => restarts,
  },
  ponix_process_last_exit_code: {
    type: 'gauge',
    help: 'Exit code of the last child that ended; 128 plus the number of the signal that ended it.',
    value: lastExitCode,
  },
  ponix_process_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'End of the last run that succeeded, in seconds since 1970.',
    value: ({ last_success }) => (last_success === null ? null : Date.parse(last_success) / 1000),
  },
  ponix_process_log_file_errors_total: {
    type: 'counter',
    help: 'Failed attempts to write the log file, one each second while it cannot be written.',
    value: ({ log_file }) => log_file?.errors ?? null,
  },
  ponix_process_log_file_lost_lines_total: {
    type: 'counter',
    help: 'Lines that were dropped because the log file could not be written.',
    value: ({ log_file }) => log_file?.lost_lines ?? null,
  },
  ponix_process_uptime_seconds: {
    type: 'gauge',
    help: 'Time since the last start, while the process runs.',
    value: ({ uptime_ms }) => (uptime_ms === null ? null : uptime_ms / 1000),
  },
  ponix_process_cpu_ratio: {
    type: 'gauge',
    help: 'CPU time of the process group since the previous sample, as a fraction of one core.',
    value: ({ cpu_percent }) => (cpu_percent === null ? null : cpu_percent / 100),
  },
  ponix_process_memory_bytes: {
    type: 'gauge',
    help: 'Resident memory of the process group.',
    value: ({ memory_bytes }) => memory_bytes,
  },
}

const SIGNALS: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals))

function lastExitCode({ exit_code, signal }: ProcessStatus): number | null {
  const number = signal === null ? undefined : SIGNALS.get(signal)
  return number === undefined ? exit_code : 128 + number
}

/** Renders the status in Prometheus' text format, version 0.0.4. */
export function renderMetrics({ processes }: StatusAnswer): string {
  const families = Object.entries(METRICS).map(([name, { type, help, value }]) => {
    const samples = processes.flatMap((status) => {
      const sample = value(status)
      return sample === null ? [] : [`${name}{process="${status.name}"} ${sample}\n`]
    })
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.join('')}`
  })
  const states = processes.map(({ name, state }) => `ponix_process_state{process="${name}",state="${state}"} 1\n`)
  const help =
    '# HELP ponix_process_state 1 for the current state of the process. Labels: process, state.\n# TYPE ponix_process_state gauge\n'
  return `${families.join('')}${help}${states.join('')}`
}
