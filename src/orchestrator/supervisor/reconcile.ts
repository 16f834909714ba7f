import { reachable } from '../config/dependency-graph.ts'
import { constants } from 'node:os'
import type { ExitResult, StopReason } from './events.ts'
import type { ExternalState } from './external.ts'
import { type Dependency, type GraphProcess, isUp, type ProcessGraph } from './graph.ts'
import { type Goal, isDown, isFinal, isPermanent, type StopOutcome, UP } from './state.ts'

/** `up` after all processes have been up at the same time; `stopping` while everything stops; `killed` when it stops by SIGKILL. */
export type Phase = 'starting' | 'up' | 'stopping' | 'killed'

/** A permanent failure of a process whose consequences are not settled yet. */
export interface Failure {
  readonly process: string
  readonly reason: string
  /** The first spawn failed, the process was not ready in time, or it failed later. */
  readonly cause: 'first_start' | 'startup_timeout' | 'run'
}

export interface ReconciledProcess extends GraphProcess {
  readonly goal: Goal
  /** True in `backoff` when the wait has ended. */
  readonly backoffIsOver: boolean
  /** True if no child and no known orphan of a child runs. */
  readonly isFullyStopped: boolean
  /** True if earlier children may have left orphans, and no reap is in progress. */
  readonly needsReaping: boolean
}

export interface Snapshot<P extends ReconciledProcess> {
  readonly phase: Phase
  readonly graph: ProcessGraph<P>
  readonly external: ExternalState
  readonly failures: readonly Failure[]
  /** True while processes are down only until the new configuration takes effect. */
  readonly isReloading: boolean
}

export type Action<P> =
  | { readonly type: 'start' | 'reset' | 'reap'; readonly managed: P }
  | { readonly type: 'stop'; readonly managed: P; readonly outcome: StopOutcome }
  | { readonly type: 'skip'; readonly managed: P; readonly because: string }
  | { readonly type: 'set_goal'; readonly managed: P; readonly goal: Goal }
  | { readonly type: 'check_external' | 'announce_ready' | 'forget_failures' | 'end' }
  | { readonly type: 'report_failure'; readonly failure: Failure }
  | { readonly type: 'stop_all'; readonly reason: StopReason }

type Rule = <P extends ReconciledProcess>(snapshot: Snapshot<P>) => readonly Action<P>[]

const RESTARTING: Goal = { type: 'down', reason: 'restarting' }

/** The rules in order of precedence. */
const RULES: readonly Rule[] = [
  settleFailures,
  skipHopeless,
  restartFollowers,
  finishRestarts,
  checkExternal,
  startProcesses,
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

/** Determines the consequences of each new failure. Dependents that can never start are skipped first. */
export function settleFailures<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  if (snapshot.failures.length === 0) return []
  const skips = skipHopeless(snapshot)
  const skipped = new Set(skips.flatMap((action) => (action.type === 'skip' ? [action.managed] : [])))
  const consequences = snapshot.failures.flatMap((failure) => consequencesOf(failure, snapshot, skipped))
  return [{ type: 'forget_failures' }, ...skips, ...consequences]
}

/** Returns the consequences: before the phase `up` a failure can fail the start; later it stops others only with `when_failed: stop`. */
function consequencesOf<P extends ReconciledProcess>(
  failure: Failure,
  { graph, phase }: Snapshot<P>,
  skipped: ReadonlySet<P>,
): readonly Action<P>[] {
  const managed = graph.get(failure.process)
  if (managed === null || phase === 'stopping' || phase === 'killed') return []
  const { cause, reason } = failure
  const { kind, whenFailed, schedule } = managed.definition
  const isStart = phase === 'starting' && schedule === null
  const failStart: Action<P> = {
    type: 'stop_all',
    reason: { type: 'start_failed', process: managed.name, message: reason },
  }
  const hasWaitingDependents = graph.dependentsOf(managed).some(({ state }) => state.type === 'waiting')
  const isNeeded = cause === 'first_start' || (cause === 'startup_timeout' && (kind === 'task' || hasWaitingDependents))
  if (isStart && isNeeded) return [failStart]
  const report: readonly Action<P>[] = cause === 'first_start' ? [{ type: 'report_failure', failure }] : []
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
export function skipHopeless<P extends ReconciledProcess>({ graph }: Snapshot<P>): readonly Action<P>[] {
  const waiting = graph.all.filter(({ state }) => state.type === 'waiting')
  const skipped = new Map<string, Action<P>>()
  for (let before = -1; before < skipped.size;) {
    before = skipped.size
    for (const managed of waiting) {
      const because = skipped.has(managed.name) ? null : hopelessBecause(managed, graph, skipped)
      if (because !== null) skipped.set(managed.name, { type: 'skip', managed, because })
    }
  }
  return [...skipped.values()]
}

function hopelessBecause<P extends ReconciledProcess>(
  managed: P,
  graph: ProcessGraph<P>,
  skipped: ReadonlyMap<string, unknown>,
): string | null {
  for (const dependency of graph.dependenciesOf(managed)) {
    if (skipped.has(dependency.name)) return `"${dependency.name}" was skipped`
    const status = graph.statusOf(dependency)
    if (status.type === 'never') return status.because
  }
  return null
}

/** Restarts the dependents with `on_dependency_restart: restart` when a dependency goes down for a restart. */
export function restartFollowers<P extends ReconciledProcess>({ graph, phase }: Snapshot<P>): readonly Action<P>[] {
  if (phase === 'stopping' || phase === 'killed') return []
  const restarting = graph.all.filter(comesUpAgain)
  if (restarting.length === 0) return []
  const followersOf = (managed: P) =>
    graph.dependentsOf(managed).filter(({ definition }) => definition.onDependencyRestart === 'restart')
  const followers = reachable(restarting.flatMap(followersOf), followersOf)
  return [...followers].flatMap((managed) =>
    managed.goal.type === 'down' || isDown(managed.state) ? [] : [{ type: 'set_goal', managed, goal: RESTARTING }],
  )
}

function comesUpAgain({ state, goal }: ReconciledProcess): boolean {
  if (state.type === 'backoff') return true
  if (state.type === 'stopping') return !isPermanent(state.outcome)
  return goal.type === 'down' && (goal.reason === 'restarting' || goal.reason === 'replaced') && !isDown(state)
}

/** Returns whether the process starts again after it has been down. */
export function isRestarting(goal: Goal): boolean {
  return goal.type === 'down' && goal.reason === 'restarting'
}

/** Sets the goal of a restarting process to `up` when it is down. */
export function finishRestarts<P extends ReconciledProcess>({ graph }: Snapshot<P>): readonly Action<P>[] {
  return graph.all.flatMap((managed): Action<P>[] => {
    if (!isRestarting(managed.goal) || !managed.isFullyStopped || managed.needsReaping) return []
    const goUp: Action<P> = { type: 'set_goal', managed, goal: UP }
    return isFinal(managed.state) ? [goUp, { type: 'reset', managed }] : [goUp]
  })
}

/** Checks the external address as soon as the process that provides it, if there is one, is ready. */
export function checkExternal<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  const { graph, phase, external } = snapshot
  if (external !== 'unchecked' || phase === 'stopping' || phase === 'killed') return []
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
    if (!graph.dependenciesOf(managed).every((dependency) => isMet(dependency, graph))) return false
  } else return false
  // Dependents that restart with this process go down before it comes up.
  return !graph.dependentsOf(managed).some((dependent) => isRestarting(dependent.goal))
}

/** Returns whether a dependency is met. A dependency that is still up but about to stop does not count. */
export function isMet<P extends Pick<ReconciledProcess, keyof GraphProcess | 'goal'>>(
  dependency: Dependency,
  graph: ProcessGraph<P>,
): boolean {
  const managed = graph.get(dependency.name)
  const isStopping = managed !== null && managed.goal.type === 'down' && !isFinal(managed.state)
  return !isStopping && graph.statusOf(dependency).type === 'met'
}

export function announceReady<P extends ReconciledProcess>({ graph, phase }: Snapshot<P>): readonly Action<P>[] {
  const isReady = ({ definition, state }: P) =>
    state.type === 'disabled' || definition.schedule !== null || isUp(definition, state)
  return phase === 'starting' && graph.all.every(isReady) ? [{ type: 'announce_ready' }] : []
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
        .some((dependent) => (dependent.isFullyStopped ? isNeeded(dependent) : isGoingDown(dependent)))
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
  const { state, goal, needsReaping } = managed
  if (isFinal(state)) return needsReaping ? { type: 'reap', managed } : null
  const stop: Action<P> = { type: 'stop', managed, outcome: { type: isRestarting(goal) ? 'waiting' : 'stopped' } }
  if (state.type === 'waiting') return isRestarting(goal) ? null : stop
  if (state.type === 'stopping') return isRestarting(goal) || isPermanent(state.outcome) ? null : stop
  return stop
}

/** Ends the run when every process is final and fully stopped, unless a command or a trigger can start one again. */
export function endRun<P extends ReconciledProcess>(snapshot: Snapshot<P>): readonly Action<P>[] {
  return snapshot.graph.all.every(isEnded) && mayEnd(snapshot) ? [{ type: 'end' }] : []
}

function mayEnd<P extends ReconciledProcess>({ graph, phase, isReloading }: Snapshot<P>): boolean {
  if (phase === 'stopping' || phase === 'killed') return true
  return !isReloading && !graph.all.some((managed) => mayStartAgain(managed, graph))
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

/** Returns whether a process that a command has started keeps its state until the next event. */
export function isSettled<P extends ReconciledProcess>(managed: P, graph: ProcessGraph<P>): boolean {
  const { state, goal, definition } = managed
  if (isRestarting(goal)) return false
  if (state.type === 'waiting') {
    return graph.dependenciesOf(managed).some(({ name }) => graph.get(name)?.state.type === 'stopped')
  }
  return isUp(definition, state) || isFinal(state) || state.type === 'backoff' || state.type === 'unhealthy'
}

export interface RunOutcome {
  /** Null: no process was left to supervise. */
  readonly reason: StopReason | null
  /** True if a process failed permanently, or was skipped because of such a failure. */
  readonly hasFailures: boolean
  /** True if `--exit-code-from` was given. */
  readonly isCodeFromProcess: boolean
  /** The last exit of that process; null if it never ran. */
  readonly exitOfProcess: ExitResult | null
}

const FAILURES: ReadonlySet<StopReason['type']> = new Set(['start_failed', 'process_failed', 'mqtt_broker_unreachable'])

/** Returns the exit code of the orchestrator. After a stop by signal or command it is 0, regardless of earlier failures. */
export function exitCodeOf({ reason, hasFailures, isCodeFromProcess, exitOfProcess }: RunOutcome): number {
  if (reason?.type === 'signal' || reason?.type === 'asked') return 0
  if (reason !== null && FAILURES.has(reason.type)) return 1
  if (isCodeFromProcess) return exitOfProcess === null ? 1 : shellCodeOf(exitOfProcess)
  if (reason?.type === 'exited') return shellCodeOf(reason.exit)
  return hasFailures ? 1 : 0
}

/** Returns the exit code in a shell's form: the code of the process, or 128 plus the number of the signal. */
function shellCodeOf(exit: ExitResult): number {
  return exit.signal === null ? exit.code : 128 + constants.signals[exit.signal]
}
