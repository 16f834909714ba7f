import type { ResolvedRestart } from '../config/resolved.ts'
import { groupUsage } from '../supervisor/system/process-table.ts'
import { backoffDelay } from '../supervisor/rules/restart-policy.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'

const EVERY_MS = 1000

/** A running process with a limit, and its usage. */
export interface LimitedProcess {
  readonly name: string
  readonly limit: number
  readonly memoryBytes: number
  readonly uptimeMs: number
  readonly restart: ResolvedRestart
}

export interface LimitDecision {
  readonly waitMs: number
  readonly because: string
}

/** Decides which processes restart. A process that exceeds its limit soon after such a restart waits for its backoff. */
export class MemoryLimits {
  /** The restarts in a row, by process. */
  readonly #restarts = new Map<string, number>()

  decide({ name, limit, memoryBytes, uptimeMs, restart }: LimitedProcess): LimitDecision | null {
    if (memoryBytes <= limit) return null
    const before = uptimeMs >= restart.resetAfterMs ? 0 : (this.#restarts.get(name) ?? 0)
    this.#restarts.set(name, before + 1)
    const waitMs = before === 0 ? 0 : backoffDelay(before, restart, Math.random())
    return {
      waitMs,
      because: `its memory of ${megabytes(memoryBytes)} exceeds the memory_limit of ${megabytes(limit)}`,
    }
  }
}

function megabytes(bytes: number): string {
  return bytes < 1e7 ? `${(bytes / 1e6).toFixed(2)} MB` : `${Math.ceil(bytes / 1e6)} MB`
}

/** Restarts processes that exceed their memory limit, every second until the signal is aborted. */
export function limitMemory(target: Pick<Supervisor, 'graph' | 'triggered'>, signal: AbortSignal): void {
  const limits = new MemoryLimits()
  const check = () => {
    const running = target.graph.all.flatMap(({ name, definition, pid, startedAt, state, goal }) => {
      const { memoryLimit: limit, restart } = definition
      if (limit === null || pid === null || startedAt === null) return []
      if (state.type === 'stopping' || goal.type === 'down') return []
      return [{ name, limit, restart, group: pid, uptimeMs: performance.now() - startedAt }]
    })
    if (running.length === 0) return
    const usage = groupUsage(new Set(running.map(({ group }) => group)))
    for (const limited of running) {
      const decision = limits.decide({ ...limited, memoryBytes: usage.get(limited.group)?.memoryBytes ?? 0 })
      if (decision !== null) target.triggered.recycle(limited.name, decision.waitMs, decision.because)
    }
  }
  const timer = setInterval(check, EVERY_MS)
  signal.addEventListener('abort', () => clearInterval(timer))
}
