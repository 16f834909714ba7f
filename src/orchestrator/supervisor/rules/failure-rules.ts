import { reachable } from '../../config/dependency-graph.ts'
import { formatSocketAddress } from '../../config/socket-address.ts'
import type { ProcessGraph } from './graph.ts'
import type { Action, Failure, ReconciledProcess, Snapshot, StartRequest } from './snapshot.ts'
import type { Goal } from './state.ts'

/** Determines the consequences of each new failure. Dependents that can never start are skipped first. */
export function settleFailures<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  if (snapshot.failures.length === 0) return []
  const skips = skipHopeless(snapshot)
  const skipped = new Set(skips.flatMap((action) => (action.type === 'skip' ? [action.managed] : [])))
  const consequences = snapshot.failures.flatMap((failure) => consequencesOf(failure, snapshot, skipped))
  return [{ type: 'forget_failures' }, ...skips, ...consequences]
}

/**
 * Returns the consequences. A failure can fail the start if it is the first start of the process and no command has caused it;
 * otherwise it stops others only with `when_failed: stop`.
 */
function consequencesOf<P extends ReconciledProcess>(
  failure: Failure,
  { graph, phase }: Snapshot<P>,
  skipped: ReadonlySet<P>,
): readonly Action<P>[] {
  const managed = graph.get(failure.process)
  if (managed === null || phase === 'stopping' || phase === 'killed') return []
  const { cause, reason } = failure
  const { kind, whenFailed, schedule } = managed.definition
  const failStart: Action<P> = {
    type: 'stop_all',
    reason: { type: 'start_failed', process: managed.name, cause, message: reason },
  }
  const isStart = phase === 'starting' && schedule === null && managed.request === null && !managed.hasBeenUp
  const hasWaitingDependents = graph.dependentsOf(managed).some(({ state }) => state.type === 'waiting')
  const isTimeout = cause === 'startup_timeout' && (kind === 'task' || hasWaitingDependents)
  const isNeeded = cause === 'spawn' || cause === 'startup_attempts' || isTimeout
  if (isStart && isNeeded) return [failStart]
  const report: readonly Action<P>[] = cause === 'spawn' ? [{ type: 'report_failure', failure }] : []
  if (whenFailed === 'stop') {
    return [...report, { type: 'stop_all', reason: { type: 'process_failed', process: managed.name, reason } }]
  }
  if (!isStart || kind !== 'task') return report
  const kept = neededAfter(managed, graph, skipped)
  if (kept.size === 0) return [failStart]
  const goal: Goal = { type: 'down', reason: 'start_failed' }
  return graph.all.flatMap((other) =>
    kept.has(other) || other.goal.type === 'down' ? [] : [{ type: 'set_goal', managed: other, goal }],
  )
}

/** Returns the direct and indirect dependents of a task that still wait for its end, and all their dependencies. */
function neededAfter<P extends ReconciledProcess>(task: P, graph: ProcessGraph<P>, skipped: ReadonlySet<P>): Set<P> {
  const waiting = (managed: P) =>
    graph.dependentsOf(managed).filter((dependent) => dependent.state.type === 'waiting' && !skipped.has(dependent))
  const dependencies = (managed: P) => graph.named(graph.dependenciesOf(managed).map(({ name }) => name))
  return reachable(reachable(waiting(task), waiting), dependencies)
}

/** Skips a process that waits for a dependency that can never be met, then the processes that wait for it. */
export function skipHopeless<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const waiting = snapshot.graph.all.filter(({ state }) => state.type === 'waiting')
  const skipped = new Map<string, Action<P>>()
  for (let before = -1; before < skipped.size;) {
    before = skipped.size
    for (const managed of waiting) {
      const because = skipped.has(managed.name) ? null : hopelessBecause(managed, snapshot, skipped)
      if (because !== null) skipped.set(managed.name, { type: 'skip', managed, because })
    }
  }
  return [...skipped.values()]
}

function hopelessBecause<P extends ReconciledProcess>(
  managed: P,
  { graph, external, phase }: Snapshot<P>,
  skipped: ReadonlyMap<string, unknown> = new Map(),
): string | null {
  // An unreachable address fails the start as a whole.
  if (managed.definition.usesExternal && external === 'unreachable' && phase === 'up') {
    const { config } = graph
    return `the MQTT broker${config.external === null ? '' : ` at ${formatSocketAddress(config.external)}`} is unreachable`
  }
  for (const dependency of graph.dependenciesOf(managed)) {
    if (skipped.has(dependency.name)) return `"${dependency.name}" was skipped`
    const status = graph.statusOf(dependency)
    if (status.type === 'never') return status.because
  }
  return null
}

/** Makes a process part of a request, if there is one. */
export function setRequest<P>(managed: P, request: StartRequest | null): readonly Action<P>[] {
  return request === null ? [] : [{ type: 'set_request', managed, request }]
}

/** Resets the skipped processes whose dependencies can be met again, because a command or a reload starts one of them. */
export function resumeSkipped<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const { graph, external } = snapshot
  return graph.all.flatMap((managed): readonly Action<P>[] => {
    if (managed.state.type !== 'skipped' || managed.goal.type === 'down') return []
    if (managed.definition.usesExternal && external !== 'reachable') return []
    if (hopelessBecause(managed, snapshot) !== null) return []
    const dependencies = graph.named(graph.dependenciesOf(managed).map(({ name }) => name))
    const request = dependencies.find((dependency) => dependency.request !== null)?.request ?? null
    return [...setRequest(managed, request), { type: 'reset', managed }]
  })
}
