import { ownCommand } from '../../config/own-command.ts'
import type { DependencyCondition } from '../../config/resolved.ts'
import { formatSocketAddress } from '../../config/socket-address.ts'
import { formatDuration } from '../duration.ts'
import type { ExternalState } from '../external.ts'
import type { Dependency, GraphProcess, ProcessGraph } from '../rules/graph.ts'
import { describeCheck } from '../probes/describe.ts'
import type { ProbeState } from '../probes/poll.ts'
import { isPassive } from '../probes/probe.ts'
import type { UnexpectedRestarts } from '../rules/restart-policy.ts'
import { isMet } from '../rules/reconcile.ts'
import { type Goal, isDownFor, isFinal, type ProcessState } from '../rules/state.ts'

export interface ExplainedProcess extends GraphProcess {
  readonly goal: Goal
  /** The time of the last change of its state. */
  readonly since: number
  /** The results of the readiness probe of its child; null if no child runs. */
  readonly probe: ProbeState | null
  /** The time of the start of its child; null if no child runs. */
  readonly startedAt: number | null
  readonly restarts: UnexpectedRestarts
}

export interface ExplainedSnapshot<P extends ExplainedProcess> {
  readonly graph: ProcessGraph<P>
  readonly external: {
    readonly state: ExternalState
    /** The time of the first attempt. */
    readonly since: number
    /** Failed attempts so far, and the answer of the last. */
    readonly failures: number
    readonly answer: string | null
  }
  /** On the clock of `since`: `performance.now()`. */
  readonly now: number
}

/** An obstacle to the next step of a process: another process, with the condition that it must meet, or the MQTT broker. */
export type Obstacle<P> =
  | { readonly type: 'dependency'; readonly managed: P; readonly condition: DependencyCondition }
  /** A dependent that must stop first. */
  | { readonly type: 'dependent'; readonly managed: P }
  | { readonly type: 'external' }

/**
 * Returns the sentence that says what a process waits for, or why it does not run; null if there is nothing to say. Logs, `status`
 * and errors show it.
 */
export function explain<P extends ExplainedProcess>(snapshot: ExplainedSnapshot<P>, name: string): string | null {
  const managed = snapshot.graph.get(name)
  if (managed === null) return null
  const [obstacle] = obstaclesOf(managed, snapshot)
  if (obstacle !== undefined) return describeObstacle(obstacle, snapshot)
  const { state } = managed
  switch (state.type) {
    case 'waiting':
    case 'starting':
    case 'stopped':
    case 'scheduled':
    case 'completed':
      return null
    case 'running':
    case 'unhealthy':
      return joined(explainProbe(managed, snapshot.now), describeLastRestart(managed, snapshot.now))
    case 'ready':
      return joined(describeFailingProbe(managed), describeLastRestart(managed, snapshot.now))
    case 'backoff':
    case 'stopping':
      return describeProgress(managed, snapshot.now)
    case 'failed':
      return managed.definition.schedule === null ? state.reason : `last run failed: ${state.reason}`
    case 'skipped':
      return managed.definition.schedule === null ? state.because : `last run skipped because ${state.because}`
    case 'disabled':
      return state.because
  }
}

function joined(...texts: readonly (string | null)[]): string | null {
  return texts.filter((text) => text !== null).join('; ') || null
}

/** Returns the cause of the last restart, until the process has run so long that its next exit would be the first of a series. */
function describeLastRestart({ definition, startedAt, restarts }: ExplainedProcess, now: number): string | null {
  const { last: lastRestart } = restarts
  if (startedAt === null || lastRestart === null || now - startedAt >= definition.restart.resetAfterMs) return null
  const ago = Math.max(0, now - lastRestart.at)
  return `${lastRestart.text}, ${ago < 1000 ? formatDuration(Math.round(ago)) : wholeSeconds(ago)} ago`
}

/** Returns the obstacles of a process that cannot start or stop yet; empty if it waits for nothing else. */
export function obstaclesOf<P extends ExplainedProcess>(
  managed: P,
  snapshot: ExplainedSnapshot<P>,
): readonly Obstacle<P>[] {
  const { graph, external } = snapshot
  const { state, goal, definition } = managed
  if (goal.type === 'down') {
    const isStopping = isFinal(state) || state.type === 'stopping' || state.type === 'waiting'
    return isStopping ? [] : stoppingDependents(managed, graph)
  }
  if (state.type !== 'waiting') return []
  const pending = graph.dependenciesOf(managed).flatMap((dependency) => obstacleOf(dependency, graph))
  const needsExternal = definition.usesExternal && external.state !== 'reachable'
  if (pending.length > 0) return pending
  return needsExternal ? [{ type: 'external' }] : restartingDependents(managed, graph)
}

/** Returns the dependents that restart together with the process, and stop before it starts. */
function restartingDependents<P extends ExplainedProcess>(managed: P, graph: ProcessGraph<P>): readonly Obstacle<P>[] {
  const stopping = graph
    .dependentsOf(managed)
    .filter((dependent) => isDownFor(dependent, 'restarting') && dependent.state.type === 'stopping')
  return stopping.map((dependent) => ({ type: 'dependent', managed: dependent }))
}

function obstacleOf<P extends ExplainedProcess>(
  dependency: Dependency,
  graph: ProcessGraph<P>,
): readonly Obstacle<P>[] {
  const managed = graph.get(dependency.name)
  if (managed === null || isMet(dependency, graph)) return []
  return [{ type: 'dependency', managed, condition: dependency.condition }]
}

/** Returns the nearest dependents that are being stopped before the process. */
function stoppingDependents<P extends ExplainedProcess>(managed: P, graph: ProcessGraph<P>): readonly Obstacle<P>[] {
  const found = new Set<P>()
  const visited = new Set<P>()
  const visit = (process: P): void => {
    for (const dependent of graph.dependentsOf(process)) {
      if (visited.has(dependent)) continue
      visited.add(dependent)
      if (dependent.state.type === 'stopping') found.add(dependent)
      else visit(dependent)
    }
  }
  visit(managed)
  return [...found].map((dependent) => ({ type: 'dependent', managed: dependent }))
}

/** Returns `waiting for …`. Of a chain of waiting processes, the sentence names the first and the last. */
export function describeObstacle<P extends ExplainedProcess>(
  obstacle: Obstacle<P>,
  snapshot: ExplainedSnapshot<P>,
): string {
  if (obstacle.type === 'external') return `waiting for ${describeExternal(snapshot)}`
  const { managed } = obstacle
  const condition = obstacle.type === 'dependency' ? obstacle.condition : null
  const root = rootOf(obstacle, snapshot)
  if (root === obstacle) return `waiting for ${describePending(managed, condition, snapshot.now)}`
  const subject = isEnd(condition) ? `"${managed.name}" to complete` : `"${managed.name}"`
  return `waiting for ${subject}, which waits for ${describeRoot(root, snapshot)}`
}

function describeRoot<P extends ExplainedProcess>(root: Obstacle<P>, snapshot: ExplainedSnapshot<P>): string {
  if (root.type === 'external') return describeExternal(snapshot)
  return describePending(root.managed, root.type === 'dependency' ? root.condition : null, snapshot.now)
}

/** Follows the first obstacle of each obstacle to the end of the chain. The graph has no cycle. */
function rootOf<P extends ExplainedProcess>(obstacle: Obstacle<P>, snapshot: ExplainedSnapshot<P>): Obstacle<P> {
  if (obstacle.type === 'external') return obstacle
  const [next] = obstaclesOf(obstacle.managed, snapshot)
  return next === undefined ? obstacle : rootOf(next, snapshot)
}

function describeExternal<P extends ExplainedProcess>({ graph, external }: ExplainedSnapshot<P>): string {
  const at = graph.config.external === null ? '' : ` at ${formatSocketAddress(graph.config.external)}`
  return `the MQTT broker${at}${external.answer === null ? '' : `: ${attempts(external.answer, external.failures)}`}`
}

function isEnd(condition: DependencyCondition | null): boolean {
  return condition === 'completed' || condition === 'completed_successfully'
}

/** Returns the process and what it lacks to meet the condition; a condition of null means that it must have stopped. */
function describePending(managed: ExplainedProcess, condition: DependencyCondition | null, now: number): string {
  const { name, state, goal } = managed
  switch (state.type) {
    case 'running':
    case 'ready':
    case 'unhealthy':
      if (goal.type === 'down') return `${name}: about to stop`
      return isEnd(condition) ? `"${name}" to complete` : `${name}: not ready, ${describeNotReady(managed, now)}`
    case 'backoff':
    case 'stopping':
      return `${name}: ${describeProgress(managed, now)}`
    case 'stopped':
      return `${name}: stopped; "${ownCommand(`start ${name}`)}" starts it`
    case 'waiting':
    case 'starting':
      return `${name}: starting`
    case 'failed':
    case 'completed':
    case 'skipped':
    case 'scheduled':
    case 'disabled':
      return `${name}: ${state.type}`
  }
}

/** Returns what a process in `backoff` or `stopping` does; its state in other states. */
function describeProgress({ state, since, definition }: ExplainedProcess, now: number): string {
  if (state.type === 'stopping') return describeStopping(definition.shutdown, now - since)
  return state.type === 'backoff' ? describeBackoff(state, since + state.waitMs - now) : state.type
}

function describeStopping(shutdown: { readonly signal: string; readonly timeoutMs: number }, ms: number): string {
  const { signal, timeoutMs } = shutdown
  const kill = ms < timeoutMs ? `SIGKILL after ${formatDuration(timeoutMs)}` : 'SIGKILL sent'
  return `stopping for ${wholeSeconds(ms)} (${signal}; ${kill})`
}

function describeBackoff({ attempt, reason }: Extract<ProcessState, { type: 'backoff' }>, leftMs: number): string {
  const time = leftMs > 0 ? `in ${leftMs < 1000 ? formatDuration(leftMs) : wholeSeconds(leftMs)}` : 'soon'
  return `restarts ${time}${attempt === 0 ? '' : ` (attempt ${attempt})`}: ${reason}`
}

/** Rounds, because the sentence is shown long enough to make fractions meaningless. */
function wholeSeconds(ms: number): string {
  return formatDuration(Math.round(ms / 1000) * 1000)
}

/** Returns the sentence about a readiness probe that has not succeeded; null without a probe. */
function explainProbe(managed: ExplainedProcess, now: number): string | null {
  const probe = managed.definition.readinessProbe
  if (probe === null) return null
  const missing = describeNotReady(managed, now)
  return isPassive(probe.check) ? missing : `readiness probe ${missing}`
}

/** Returns the last answer of the readiness probe of a ready process if it failed, but not often enough to make it unhealthy. */
function describeFailingProbe({ definition, probe }: ExplainedProcess): string | null {
  if (probe === null || definition.readinessProbe === null || probe.answer === null || probe.failures === 0) return null
  const { check, failureThreshold } = definition.readinessProbe
  const target = describeCheck(check, definition)
  return `readiness probe failed ${probe.failures} of ${failureThreshold} times: ${target}: ${probe.answer}`
}

/** Returns the reason of the failure of a process that was not ready within its startup time-out. */
export function describeStartupTimeout(managed: ExplainedProcess, now: number): string {
  return `not ready after ${formatDuration(managed.definition.startupTimeoutMs)}: ${describeNotReady(managed, now)}`
}

/** Returns a sentence about an unhealthy process for which no other waits. */
export function describeUnhealthy(managed: ExplainedProcess, now: number): string {
  return `${managed.name} is still unhealthy: ${describeNotReady(managed, now)}`
}

/** Returns why a process is not ready: the target of its readiness probe, the last answer and the failed attempts in a row. */
function describeNotReady({ definition, probe: results, state, since }: ExplainedProcess, now: number): string {
  const probe = definition.readinessProbe
  if (state.type === 'backoff') return `${state.reason} (attempt ${state.attempt})`
  if (probe === null || state.type === 'starting') return 'starting'
  const { check, initialDelayMs, successThreshold } = probe
  const target = describeCheck(check, definition)
  if (check.type === 'log_line') return `${target} has not appeared`
  if (check.type === 'notify') return 'no notification on NOTIFY_FD yet'
  const { answer, failures, successes } = results ?? { answer: null, failures: 0, successes: 0 }
  if (answer !== null) return `${target}: ${attempts(answer, failures)}`
  if (successes > 0) return `${target}: succeeded ${successes} of ${successThreshold} times`
  const untilFirst = since + initialDelayMs - now
  return untilFirst > 0
    ? `${target}: the first attempt follows in ${formatDuration(untilFirst)}`
    : `${target}: no answer yet`
}

function attempts(answer: string, count: number): string {
  return `${answer} (${count} ${count === 1 ? 'attempt' : 'attempts'})`
}
