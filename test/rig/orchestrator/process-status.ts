import type { ProcessStatus } from '../../../src/orchestrator/control/protocol.ts'

/** Returns the status of a service without a child. */
export function statusOf(name: string, state: string, over: Partial<ProcessStatus> = {}): ProcessStatus {
  return {
    name,
    kind: 'service',
    state,
    reason: null,
    detail: null,
    pid: null,
    ready: state === 'ready',
    restarts: 0,
    exit_code: null,
    signal: null,
    uptime_ms: null,
    cpu_percent: null,
    memory_bytes: null,
    depends_on: [],
    next_run: null,
    last_success: null,
    log_file: null,
    left_pids: [],
    ...over,
  }
}
