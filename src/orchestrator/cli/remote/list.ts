import { statusAnswer } from '../../control/protocol.ts'
import { runningRecords, type RunningRecord } from '../../supervisor/guard/run-folder.ts'
import { ControlClient } from './control-client.ts'

interface RunningOrchestrator {
  readonly config: string
  readonly pid: number
  /** ISO 8601. */
  readonly since: string
  /** The number of processes that are ready or completed, and of all that are not disabled; null if it does not answer. */
  readonly ready: number | null
  readonly processes: number | null
}

/** Prints the running orchestrators of this user. */
export async function list(json: boolean): Promise<void> {
  const running = await Promise.all(runningRecords(process.env).map(ask))
  process.stdout.write(json ? `${JSON.stringify({ orchestrators: running })}\n` : render(running))
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

function render(running: readonly RunningOrchestrator[]): string {
  if (running.length === 0) return 'no orchestrator runs\n'
  const rows = running.map(({ config, pid, since, ready, processes }) => [
    String(pid),
    new Date(since).toLocaleString('sv'),
    ready === null ? '-' : `${ready}/${processes}`,
    config,
  ])
  const lines = [['PID', 'SINCE', 'READY', 'FILE'], ...rows]
  return lines
    .map(
      ([pid = '', since = '', ready = '', file = '']) =>
        `${pid.padStart(8)}  ${since.padEnd(19)}  ${ready.padEnd(7)}  ${file}\n`,
    )
    .join('')
}
