import type { ResolvedProcess } from '../config/resolved.ts'
import type { SupervisorEvent } from './events.ts'
import type { Group } from './process-group.ts'
import { elapsed } from './timer.ts'

export interface EmptyOptions {
  /** Settles when the leader has exited; null if it is gone already. */
  readonly leaderExited: Promise<unknown> | null
  /** SIGKILL from the start. */
  readonly isKilled: boolean
}

/** Ends every member of a group as the definition says, and tells of it. */
export async function emptyGroup(
  group: Group,
  { name: process, shutdown: { signal, timeoutMs } }: ResolvedProcess,
  told: { emit(event: SupervisorEvent): void },
  { leaderExited, isKilled }: EmptyOptions,
): Promise<void> {
  const since = performance.now()
  if (leaderExited !== null) told.emit({ type: 'process_stopping', process, signal })
  const survivors = await group.terminate({
    signal: isKilled ? 'SIGKILL' : signal,
    timeoutMs,
    leaderExited,
    onKill: () => told.emit({ type: 'process_killed', process, afterMs: elapsed(since) }),
  })
  if (survivors.length > 0) told.emit({ type: 'process_survived', process, pids: survivors })
}
