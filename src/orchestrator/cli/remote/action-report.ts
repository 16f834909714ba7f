import type { ProcessStatus, ReloadAnswer, StartFailureAnswer } from '../../control/protocol.ts'
import type { ConfigChange } from '../../supervisor/events.ts'
import { listOrphans, type Orphans } from '../../supervisor/child/orphans.ts'
import { formatDuration } from '../../supervisor/duration.ts'

type Action = 'start' | 'stop' | 'restart'

/**
 * Returns the result of an action for a process that has not failed, such as `api: ready after 300 ms (pid 4711)`. `ended`: what a
 * completed process had left running, and the action has stopped.
 */
export function describeResult(
  action: Action,
  status: ProcessStatus,
  elapsedMs: number,
  ended: Orphans | null = null,
): string {
  const { name, state, pid, ready, uptime_ms: uptimeMs } = status
  if (action === 'stop' && state === 'completed') {
    return `${name}: has already completed${ended === null ? '' : `; stopped what it had left: ${listOrphans(ended)}`}`
  }
  const isUp = ready && pid !== null && uptimeMs !== null
  if (!isUp || action === 'stop') return `${name}: ${describeState(status)}`
  if (uptimeMs > elapsedMs) return `${name}: was already ${state} (pid ${pid})`
  if (action === 'restart') return `${name}: restarted (pid ${pid})`
  return state === 'ready'
    ? `${name}: ready after ${formatDuration(uptimeMs)} (pid ${pid})`
    : `${name}: started (pid ${pid})`
}

/** Returns a text such as `running; not ready: connection refused`, or `waiting for db`. */
export function describeState({ state, detail }: Pick<ProcessStatus, 'state' | 'detail'>): string {
  if (detail === null) return state
  return state === 'waiting' ? detail : `${state}; ${detail}`
}

/** Returns a sentence about the processes that depend on stopped ones and keep running; null if there are none. */
export function describeDependents(
  stopped: readonly Pick<ProcessStatus, 'name'>[],
  all: readonly Pick<ProcessStatus, 'name' | 'pid' | 'depends_on'>[],
): string | null {
  const names = new Set(stopped.map(({ name }) => name))
  const dependents = all.filter(
    ({ name, pid, depends_on }) => pid !== null && !names.has(name) && depends_on.some((needed) => names.has(needed)),
  )
  if (dependents.length === 0) return null
  const [verb, keep] = dependents.length === 1 ? ['depends', 'keeps'] : ['depend', 'keep']
  return `${listed(dependents.map(({ name }) => name))} ${verb} on ${names.size === 1 ? 'it' : 'them'} and ${keep} running`
}

/** Returns a sentence about left-out processes on which started ones depend; null if there are none. */
export function describeLeftOut(
  started: readonly Pick<ProcessStatus, 'name' | 'depends_on'>[],
  all: readonly Pick<ProcessStatus, 'name' | 'state'>[],
): string | null {
  const leftOut = new Set(all.flatMap(({ name, state }) => (state === 'disabled' ? [name] : [])))
  const missing = new Set(started.flatMap(({ depends_on }) => depends_on.filter((needed) => leftOut.has(needed))))
  if (missing.size === 0) return null
  const [are, them] = missing.size === 1 ? ['is', 'it'] : ['are', 'them']
  return `${listed([...missing])} ${are} left out, although needed; "start" with --with-dependencies starts ${them}, too`
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** Returns a text such as `migrate failed: exited with code 3`. */
export function describeStartFailure({ process: name, state, reason }: StartFailureAnswer): string {
  if (state === 'skipped') return `${name} was skipped because ${reason}`
  return `${name} failed: ${reason}${state === 'backoff' ? '; it will be restarted' : ''}`
}

/** Returns the failures of a change of the configuration in one line; null if there are none. */
export function describeChangeFailures({ failed }: ReloadAnswer, cause: ConfigChange): string | null {
  const after = cause === 'scale' ? 'after scaling' : 'after the reload'
  return failed.length === 0 ? null : `${after}, ${failed.map(describeStartFailure).join('; ')}`
}

export function describeNeededRestart({ needs_restart }: ReloadAnswer): string {
  return `"${needs_restart.join('", "')}" has changed; restart the orchestrator to apply it`
}
