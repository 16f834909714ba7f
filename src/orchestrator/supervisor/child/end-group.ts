import type { ResolvedProcess } from '../../config/resolved.ts'
import type { SupervisorEvent } from '../events.ts'
import type { Group } from './process-group.ts'
import { elapsed } from '../timers.ts'

export interface EndGroupOptions {
  readonly definition: Pick<ResolvedProcess, 'name' | 'shutdown'>
  /** True if SIGKILL is the first signal. */
  readonly killNow: boolean
  /** Settles when the leader has exited; null if it has already exited. */
  readonly leaderExited: Promise<unknown> | null
  readonly emit: (event: SupervisorEvent) => void
}

/** Ends every member of a process group and reports it. */
export async function endGroup(group: Group, options: EndGroupOptions): Promise<void> {
  const { definition, killNow, leaderExited, emit } = options
  const { name: process, shutdown } = definition
  const since = performance.now()
  if (leaderExited !== null) emit({ type: 'process_stopping', process, signal: shutdown.signal })
  const survivors = await group.terminate({
    signal: killNow ? 'SIGKILL' : shutdown.signal,
    timeoutMs: shutdown.timeoutMs,
    leaderExited,
    onKill: () => emit({ type: 'process_killed', process, afterMs: elapsed(since) }),
  })
  if (survivors.length > 0) emit({ type: 'process_survived', process, pids: survivors })
}
