import { statusAnswer } from '../../control/protocol.ts'
import { orphanedRecords, runningRecords, type RunningRecord } from '../../supervisor/guard/run-folder.ts'
import { dateAndTime } from '../../supervisor/system/local-time.ts'
import { ControlClient, describeOrphans } from './control-client.ts'

interface RunningOrchestrator {
  readonly config: string
  readonly pid: number
  /** ISO 8601. */
  readonly since: string
  /** The number of processes that are ready or completed, and of all that are not disabled; null if it does not answer. */
  readonly ready: number | null
  readonly processes: number | null
}

/** A run whose orchestrator was killed and whose processes still run. */
interface OrphanedRun {
  readonly config: string
  /** The pid of the killed orchestrator. */
  readonly pid: number
  /** ISO 8601. */
  readonly since: string
  /** The number of its processes, with their descendants. */
  readonly processes: number
}

/** Prints the running orchestrators of this user, and the runs of killed ones that have left processes. */
export async function list(json: boolean): Promise<void> {
  const running = await Promise.all(runningRecords(process.env).map(ask))
  const orphaned = orphanedRecords(process.env).map(({ config, pid, since, orphans }): OrphanedRun => {
    return { config, pid, since: since.toISOString(), processes: orphans }
  })
  process.stdout.write(json ? `${JSON.stringify({ orchestrators: running, orphaned })}\n` : render(running, orphaned))
}

async function ask({ config, pid, since, socket }: RunningRecord): Promise<RunningOrchestrator> {
  const known = { config, pid, since: since.toISOString() }
  try {
    if (socket === null) return { ...known, ready: null, processes: null }
    const { processes } = await new ControlClient({ config }).call('GET', '/status', statusAnswer)
    const enabled = processes.filter(({ state }) => state !== 'disabled')
    return { ...known, ready: enabled.filter(({ ready }) => ready).length, processes: enabled.length }
  } catch {
    return { ...known, ready: null, processes: null }
  }
}

function render(running: readonly RunningOrchestrator[], orphaned: readonly OrphanedRun[]): string {
  if (running.length + orphaned.length === 0) return 'no orchestrator runs\n'
  const rows = [
    ['PID', 'SINCE', 'READY', 'FILE'],
    ...running.map(({ config, pid, since, ready, processes }) => [
      String(pid),
      dateAndTime(new Date(since)),
      ready === null ? '-' : `${ready}/${processes}`,
      config,
    ]),
    ...orphaned.map(({ config, since }) => ['-', dateAndTime(new Date(since)), 'orphaned', config]),
  ]
  const width = Math.max(7, ...rows.map(([, , ready = '']) => ready.length))
  const lines = rows.map(
    ([pid = '', since = '', ready = '', file = '']) =>
      `${pid.padStart(8)}  ${since.padEnd(19)}  ${ready.padEnd(width)}  ${file}`,
  )
  const advice = orphaned.map((run) => `${run.config}: ${describeOrphans(run, run.processes, run.config)}`)
  return [...lines, ...advice].map((line) => `${line}\n`).join('')
}
