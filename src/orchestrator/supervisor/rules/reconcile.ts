import { reachable } from '../../config/dependency-graph.ts'
import { resumeSkipped, setRequest, settleFailures, skipHopeless } from './failure-rules.ts'
import { type Dependency, type GraphProcess, isUp, type ProcessGraph } from './graph.ts'
import { restartSettlesInMs } from './settling.ts'
import type { Action, ReconciledProcess, Rule, Snapshot, StartRequest } from './snapshot.ts'
import { type DownReason, type Goal, isDown, isDownFor, isFinal, isPermanent, UP } from './state.ts'

const RESTARTING: Goal = { type: 'down', reason: 'restarting' }
/** The reasons to be down with which a process takes its followers down. */
const TAKING_DOWN: ReadonlySet<DownReason> = new Set(['restarting', 'replaced', 'by_hand'])

/** The rules in order of precedence. */
const RULES: readonly Rule[] = [
  settleFailures,
  skipHopeless,
  resumeSkipped,
  restartFollowers,
  finishRestarts,
  checkExternal,
  startProcesses,
  finishStart,
  announceReady,
  stopProcesses,
  endRun,
]

/**
 * Returns the actions of the first rule that has any for this snapshot. The caller executes them and calls again with a new
 * snapshot until there are none. Every action changes the input of its rule, so this ends.
 */
export function reconcile<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  for (const rule of RULES) {
    const actions = rule(snapshot)
    if (actions.length > 0) return actions
  }
  return []
}

/** Restarts the dependents with `on_dependency_restart: restart` when a dependency restarts or is stopped manually. */
export function restartFollowers<P extends ReconciledProcess>({ graph, phase }: Snapshot<P>): readonly Action<P>[] {
  if (phase === 'stopping' || phase === 'killed') return []
  const sources = graph.all.filter(takesFollowersDown)
  if (sources.length === 0) return []
  const followersOf = (managed: P) =>
    usersOf(managed, graph).filter(({ definition }) => definition.onDependencyRestart === 'restart')
  const requests = new Map<P, StartRequest | null>()
  for (const source of sources) {
    for (const managed of reachable(followersOf(source), followersOf)) {
      requests.set(managed, requests.get(managed) ?? source.request)
    }
  }
  return Array.from(requests).flatMap(([managed, request]): readonly Action<P>[] => {
    if (!canFollow(managed)) return []
    return [{ type: 'set_goal', managed, goal: RESTARTING }, ...setRequest(managed, request)]
  })
}

/** Returns whether the process restarts, or is stopped manually. */
function takesFollowersDown(managed: ReconciledProcess): boolean {
  const { state, goal, hasRun } = managed
  // Its followers may use what it has left running.
  if (isDone(managed) && managed.needsReaping && repeats(managed)) return true
  if (goal.type === 'down') return !isDown(state) && TAKING_DOWN.has(goal.reason)
  if (state.type === 'waiting') return hasRun
  return state.type === 'backoff' || (state.type === 'stopping' && !isPermanent(state.outcome))
}

/** Returns whether another child of the process, in this or its next version, follows. */
function repeats(managed: Pick<ReconciledProcess, 'goal'>): boolean {
  return isDownFor(managed, 'restarting') || isDownFor(managed, 'replaced')
}

/** Returns whether the process runs, or is a task that has completed. */
function canFollow({ goal, state, definition }: ReconciledProcess): boolean {
  return goal.type === 'up' && (!isDown(state) || (state.type === 'completed' && definition.kind === 'task'))
}

/** Returns whether the process is a completed task, which uses its dependencies no more. */
function isDone({ definition, state }: ReconciledProcess): boolean {
  return definition.kind === 'task' && state.type === 'completed'
}

/** Returns the dependents, and those of completed tasks among them, because such a task does not use the dependency. */
function usersOf<P extends ReconciledProcess>(managed: P, graph: ProcessGraph<P>): readonly P[] {
  return [...reachable(graph.dependentsOf(managed), (user) => (isDone(user) ? graph.dependentsOf(user) : []))]
}

/** Sets the goal of a restarting process to `up` when it is down. */
export function finishRestarts<P extends ReconciledProcess>({ graph }: Snapshot<P>): readonly Action<P>[] {
  return graph.all.flatMap((managed): Action<P>[] => {
    if (!isDownFor(managed, 'restarting') || !managed.isFullyStopped || managed.needsReaping) return []
    const goUp: Action<P> = { type: 'set_goal', managed, goal: UP }
    return isFinal(managed.state) ? [goUp, { type: 'reset', managed }] : [goUp]
  })
}

/**
 * Checks the external address as soon as the process that provides it, if there is one, is ready. An unreachable address fails the
 * start; later it has no effect but on its users, and is checked again for the next user.
 */
export function checkExternal<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const { graph, phase, external } = snapshot
  if (phase === 'stopping' || phase === 'killed') return []
  if (external === 'unreachable') return [{ type: phase === 'starting' ? 'fail_external' : 'forget_external' }]
  const isNeeded = graph.all.some(({ definition, state }) => definition.usesExternal && state.type === 'waiting')
  if (external !== 'unchecked' || (phase === 'up' && !isNeeded)) return []
  const providedBy = graph.config.external?.providedBy ?? null
  const isPending = providedBy !== null && graph.statusOf({ name: providedBy, condition: 'ready' }).type !== 'met'
  return isPending ? [] : [{ type: 'check_external' }]
}

/** Starts the processes whose dependencies are met, or whose backoff has ended. */
export function startProcesses<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  return snapshot.graph.all.flatMap((managed) => (mayStart(managed, snapshot) ? [{ type: 'start', managed }] : []))
}

function mayStart<P extends ReconciledProcess>(managed: P, { graph, external }: Snapshot<P>): boolean {
  const { state, goal, definition } = managed
  if (goal.type === 'down') return false
  if (state.type === 'backoff') {
    if (!managed.backoffIsOver) return false
  } else if (state.type === 'waiting') {
    if (definition.usesExternal && external !== 'reachable') return false
    if (blockersOf(managed, graph).length > 0) return false
  } else return false
  // Dependents that restart with this process go down before it comes up.
  return !usersOf(managed, graph).some((user) => isDownFor(user, 'restarting'))
}

/**
 * Returns the dependencies that are not met. A process that restarts with its dependencies also waits for those of a completed
 * task, because it follows them; it does not wait for one that can never be met.
 */
function blockersOf<P extends ReconciledProcess>(
  managed: P,
  graph: ProcessGraph<P>,
  follows = managed.definition.onDependencyRestart === 'restart',
): readonly Dependency[] {
  return graph.dependenciesOf(managed).flatMap((dependency): readonly Dependency[] => {
    if (!isMet(dependency, graph)) return [dependency]
    const task = graph.get(dependency.name)
    if (!follows || task === null || !isDone(task)) return []
    return blockersOf(task, graph, true).filter((blocker) => graph.statusOf(blocker).type !== 'never')
  })
}

/** Returns whether a dependency is met. A dependency that is about to stop, or a task that is about to run again, does not count. */
export function isMet<P extends Pick<ReconciledProcess, keyof GraphProcess | 'goal'>>(
  dependency: Dependency,
  graph: ProcessGraph<P>,
): boolean {
  const managed = graph.get(dependency.name)
  const isStopping = managed !== null && managed.goal.type === 'down' && (!isFinal(managed.state) || repeats(managed))
  return !isStopping && graph.statusOf(dependency).type === 'met'
}

/** Ends the phase `starting` when every process has been up once, has ended or is left out, and the address is checked. */
export function finishStart<P extends ReconciledProcess>({
  graph,
  phase,
  external,
}: Snapshot<P>): readonly Action<P>[] {
  const isOver = external !== 'checking' && graph.all.every(({ hasBeenUp, state }) => hasBeenUp || isFinal(state))
  return phase === 'starting' && isOver ? [{ type: 'finish_start' }] : []
}

/**
 * Announces once that every process is up at the same time, except those that are left out or have a schedule; before that, once,
 * that all others are up and the rest has failed or was skipped. A service in a crash loop is not up between two exits.
 */
export function announceReady<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const { graph, phase, announced, now } = snapshot
  if (announced === 'ready' || phase === 'stopping' || phase === 'killed') return []
  const active = graph.all.filter(({ definition, state }) => state.type !== 'disabled' && definition.schedule === null)
  const missing = active.filter(
    (managed) => !isUp(managed.definition, managed.state) || restartSettlesInMs(managed, now) > 0,
  )
  if (missing.length === 0) return [{ type: 'announce_ready' }]
  const isOver =
    missing.length < active.length && missing.every(({ state }) => ['failed', 'skipped'].includes(state.type))
  return isOver && phase === 'up' && announced === 'none' ? [{ type: 'announce_incomplete' }] : []
}

/**
 * Stops the processes whose goal is to be down, dependents before dependencies. When every process is final and the run is
 * about to end, the orphans of all of them are ended in the same order.
 */
export function stopProcesses<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const { graph, phase } = snapshot
  const isEnding = mayEnd(snapshot) && graph.all.every(({ state }) => isFinal(state))
  const isGoingDown = (managed: P) => isEnding || managed.goal.type === 'down'
  const known = new Map<P, boolean>()
  /** Returns whether a direct or indirect dependent that is going down still runs. */
  const isNeeded = (managed: P): boolean => {
    const result =
      known.get(managed) ??
      graph
        .dependentsOf(managed)
        .some((dependent) => (!dependent.isFullyStopped && isGoingDown(dependent)) || isNeeded(dependent))
    known.set(managed, result)
    return result
  }
  return graph.all.flatMap((managed) => {
    const action = isGoingDown(managed) ? wayDown(managed) : null
    if (action === null) return []
    // A process without a child is of no use to its dependents.
    const isFree = phase === 'killed' || managed.state.type === 'backoff' || managed.state.type === 'stopping'
    return isFree || !isNeeded(managed) ? [action] : []
  })
}

function wayDown<P extends ReconciledProcess>(managed: P): Action<P> | null {
  const { state, needsReaping } = managed
  if (isFinal(state)) return needsReaping ? { type: 'reap', managed } : null
  const isRestarting = isDownFor(managed, 'restarting')
  const stop: Action<P> = { type: 'stop', managed, outcome: { type: isRestarting ? 'waiting' : 'stopped' } }
  if (state.type === 'waiting') return isRestarting ? null : stop
  if (state.type === 'stopping') return isRestarting || isPermanent(state.outcome) ? null : stop
  return stop
}

/** Ends the run when every process is final and fully stopped, unless a command or a trigger can start one again. */
export function endRun<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  return snapshot.graph.all.every(isEnded) && mayEnd(snapshot) ? [{ type: 'end' }] : []
}

function mayEnd<P extends ReconciledProcess>({ graph, phase, isReloading, isHeld }: Snapshot<P>): boolean {
  if (phase === 'stopping' || phase === 'killed') return true
  if (isReloading || (isHeld && graph.all.some(({ state }) => state.type === 'failed'))) return false
  return !graph.all.some((managed) => mayStartAgain(managed, graph))
}

/** Returns whether a command or a trigger can start a process again that has ended. */
function mayStartAgain<P extends ReconciledProcess>({ goal, state, definition }: P, { all }: ProcessGraph<P>): boolean {
  if (goal.type === 'down') return goal.reason === 'by_hand'
  if (state.type === 'disabled' || (definition.watch === null && definition.schedule === null)) return false
  // After a failed start, this process alone is not what was started.
  return !all.some((other) => other.goal.type === 'down' && other.goal.reason === 'start_failed')
}

/** Returns whether the process is fully stopped and does not start again by itself. */
export function isEnded({ state, isFullyStopped, needsReaping }: ReconciledProcess): boolean {
  return isFullyStopped && !needsReaping && isFinal(state)
}

/**
 * Returns whether a process that a command or a reload has started is up, has ended or has failed, or waits for a process that
 * was stopped manually. With `untilUp`, a restart after a failure is awaited.
 */
export function isSettled<P extends ReconciledProcess>(
  managed: P,
  graph: ProcessGraph<P>,
  { untilUp = false }: { readonly untilUp?: boolean } = {},
): boolean {
  const { state, definition, request } = managed
  // Its next version, or its next child, follows.
  if (repeats(managed)) return false
  if (state.type === 'waiting') return waitsForStopped(managed, graph)
  if (isUp(definition, state) || isFinal(state)) return true
  return (state.type === 'backoff' || state.type === 'unhealthy') && (!untilUp || request === null)
}

function waitsForStopped<P extends ReconciledProcess>(managed: P, graph: ProcessGraph<P>): boolean {
  return blockersOf(managed, graph).some(({ name }) => {
    const other = graph.get(name)
    if (other === null) return false
    return other.state.type === 'stopped' || (other.state.type === 'waiting' && waitsForStopped(other, graph))
  })
}
