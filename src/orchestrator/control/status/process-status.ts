import { isReady } from '../../supervisor/goals.ts'
import type { ManagedProcess } from '../../supervisor/managed-process.ts'
import { settlesInMs } from '../../supervisor/rules/settling.ts'
import { isDownFor, type ProcessState } from '../../supervisor/rules/state.ts'
import type { ProcessStatus } from '../protocol.ts'
import type { Usage } from './usage-sampler.ts'
import type { AwaitedProcess } from '../wait.ts'

/** Returns the status of a process without the parts that depend on others. */
export function statusOf(
  managed: ManagedProcess,
  usage: Usage | undefined,
): Omit<ProcessStatus, 'depends_on' | 'detail' | 'next_run' | 'log_file' | 'left_pids'> {
  const { name, state, definition, pid, startedAt, restarts, runs } = managed
  return {
    name,
    kind: definition.kind,
    state: state.type,
    reason: reasonOf(state),
    pid,
    ready: isReady(managed),
    restarts: restarts.count,
    exit_code: restarts.lastExit?.code ?? null,
    signal: restarts.lastExit?.signal ?? null,
    uptime_ms: pid === null || startedAt === null ? null : Math.round(performance.now() - startedAt),
    cpu_percent: usage?.cpuPercent ?? null,
    memory_bytes: usage?.memoryBytes ?? null,
    last_success: runs.lastSuccessAt === null ? null : new Date(runs.lastSuccessAt).toISOString(),
  }
}

/** Returns what a request that waits needs to know. `runsBefore`: the number of runs that had ended before the request. */
export function awaitedOf(managed: ManagedProcess, detail: string | null, runsBefore: number): AwaitedProcess {
  const { name, state, definition, runs } = managed
  const result = runs.count > runsBefore ? runs.last : null
  return {
    name,
    state: state.type,
    ready: isReady(managed),
    reason: reasonOf(state),
    detail,
    comesBack: isDownFor(managed, 'restarting') || isDownFor(managed, 'replaced'),
    canComplete: definition.kind === 'task' || definition.restart.policy !== 'always',
    settlesInMs: settlesInMs(managed, performance.now()),
    restartsInRow: restartsInRow(managed),
    scheduledRun:
      definition.schedule === null
        ? null
        : { result: result === null ? null : { state: result.type, reason: reasonOf(result) } },
  }
}

function restartsInRow({ definition, state }: ManagedProcess): number | null {
  if (definition.kind === 'task' || definition.readinessProbe !== null) return null
  return 'attempt' in state ? state.attempt : 0
}

function reasonOf(state: ProcessState): string | null {
  if ('because' in state) return state.because
  return 'reason' in state ? state.reason : null
}
