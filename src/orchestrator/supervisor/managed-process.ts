import type { ResolvedProcess } from '../config/resolved.ts'
import { messageOf } from '../config/errors.ts'
import { type ChildRun, startRun, Startup } from './child/child-run.ts'
import type { FailureCause } from './events.ts'
import { describeStartupTimeout } from './waiting/explain.ts'
import { isUp } from './rules/graph.ts'
import { Backoff } from './child/backoff.ts'
import { ChildGroups } from './child/child-groups.ts'
import type { ProbeState } from './probes/poll.ts'
import { decideAfterFailure, RestartHistory } from './rules/restart-policy.ts'
import type { RestartDecision, UnexpectedRestarts } from './rules/restart-policy.ts'
import { initialState, isDown, transition } from './rules/state.ts'
import type { Goal, ProcessEvent, ProcessState, StopOutcome } from './rules/state.ts'
import { afterExit, outcomeOfExit } from './rules/exit-outcome.ts'
import type { ProcessContext } from './process-context.ts'
import { EndedRuns } from './rules/ended-runs.ts'
import type { StartRequest } from './rules/snapshot.ts'
import { elapsed } from './timers.ts'

/**
 * One process of the configuration and all its successive children. Its methods execute actions, its events report the outcome;
 * `reconcile` determines when to start and when to stop.
 */
export class ManagedProcess {
  /** Replaced by the supervisor if only `secretNames` has changed. */
  definition: ResolvedProcess
  /** Set by the supervisor. A child that exits is restarted by its policy only while it is `up`. */
  goal: Goal = { type: 'up' }
  /** See `ReconciledProcess`. The first start for a request must succeed; there is no backoff after it. */
  request: StartRequest | null = null
  readonly runs = new EndedRuns()
  /** The process groups of its children. */
  readonly groups: ChildGroups
  readonly #context: ProcessContext
  #state: ProcessState
  #since = performance.now()
  #run: ChildRun | null = null
  #spawning: Promise<void> | null = null
  readonly #restarts: RestartHistory
  readonly #backoff: Backoff
  readonly #startup: Startup
  #starts = 0
  /** The request whose first child has been started. */
  #startedRequest: StartRequest | null = null

  constructor(definition: ResolvedProcess, context: ProcessContext) {
    this.definition = definition
    this.#state = initialState(definition)
    this.#context = context
    this.#startup = new Startup(definition, () => this.#onStartupTimeout())
    this.#restarts = new RestartHistory(definition)
    const { emit, reapEscaped } = context
    this.groups = new ChildGroups(definition, { reapEscaped, onReaped: () => emit({ type: 'changed' }), emit })
    this.#backoff = new Backoff({ definition, groups: this.groups, history: this.#restarts, emit })
  }

  get name(): string {
    return this.definition.name
  }

  get state(): ProcessState {
    return this.#state
  }

  /** The time of the last change of its state on the clock of `performance.now()`. */
  get since(): number {
    return this.#since
  }

  /** The results of the readiness probe; null if no child runs. */
  get probe(): ProbeState | null {
    return this.#run?.probe ?? null
  }

  /** See `ReconciledProcess`. */
  get hasBeenUp(): boolean {
    return this.#restarts.hasBeenUp
  }

  /** See `ReconciledProcess`. */
  get hasRun(): boolean {
    return this.#starts > 0 || this.#context.hasRunBefore
  }

  /** The pid of the child that runs or is stopping. */
  get pid(): number | null {
    return 'pid' in this.#state ? this.#state.pid : null
  }

  /** Start of this child on the clock of `performance.now()`. */
  get startedAt(): number | null {
    return this.#run?.startedAt ?? null
  }

  get restarts(): UnexpectedRestarts {
    return this.#restarts
  }

  /** True in `backoff` when the wait has ended, so that `start` is possible. */
  get backoffIsOver(): boolean {
    return this.#backoff.isOver
  }

  /** True if no child and no known orphan of a child runs. */
  get isFullyStopped(): boolean {
    return isDown(this.#state) && this.groups.isIdle
  }

  /** True if earlier children may have left orphans for `reap` to end. */
  get needsReaping(): boolean {
    return this.groups.needsReaping
  }

  /** Starts a child. Possible in `waiting`, and in `backoff` when the wait has ended. */
  start(): void {
    const isFirst = this.#state.type === 'waiting'
    if (isFirst) this.#startup.begin()
    this.#restarts.onStart(isFirst)
    this.#backoff.reset()
    if (!this.#send({ type: 'start' })) return
    const result = startRun(this.definition, this.#context, this.#starts + 1, {
      onReady: () => this.#onReady(),
      onOccupied: (occupant) => this.#context.emit({ type: 'port_occupied', process: this.name, ...occupant }),
      onUnhealthy: (reason) => this.#onUnhealthy(reason),
      onDead: (reason) => this.#onDead(reason),
    })
    if (result.type === 'failed') {
      this.#spawning = result.message.then((message) => this.#onSpawnFailure(message))
      return
    }
    const { run } = result
    this.#starts++
    if (!isFirst) this.#restarts.onRestarted()
    this.#startedRequest = this.request
    this.groups.childStarted(run.group)
    this.#run = run
    this.#startup.follow(run.lines)
    const [attempt, again] = [this.#attempt, this.#starts > 1 || this.#context.hasRunBefore]
    this.#send({ type: 'spawned', pid: run.child.pid })
    this.#context.emit({ type: 'process_started', process: this.name, pid: run.child.pid, attempt, again })
    run.watch()
    void this.#awaitExit(run)
  }

  /** Ends the backoff early, as soon as the orphans of the last child are gone. */
  async skipBackoff(): Promise<void> {
    await this.#backoff.skip()
  }

  /** Returns from a final state to `waiting`. */
  reset(): void {
    this.#send({ type: 'reset' })
  }

  skip(because: string): void {
    if (!this.#send({ type: 'skip', because })) return
    this.#context.emit({ type: 'process_skipped', process: this.name, because })
  }

  /** Stops the process; the outcome is its state afterwards. Not possible in a final state. */
  stop(outcome: StopOutcome = { type: 'stopped' }): void {
    const wasStopping = this.#state.type === 'stopping'
    this.#send({ type: 'stop', outcome })
    if (wasStopping || this.state.type !== 'stopping') return
    this.#clearTimers()
    void this.#bringDown()
  }

  /** Stops the child as `stop` does, then starts another one after `waitMs`. This is no attempt of the restart policy. */
  recycle(waitMs: number, reason: string): void {
    if (this.#run === null || this.#state.type === 'stopping') return
    this.stop({ type: 'backoff', attempt: this.#attempt, waitMs, reason, isCounted: false })
  }

  /** Applies an event; returns false if it had no effect. An event that cannot occur is reported and otherwise ignored. */
  #send(event: ProcessEvent): boolean {
    const before = this.#state
    try {
      this.#state = transition(before, event)
    } catch (error) {
      this.#context.emit({ type: 'internal_error', process: this.name, message: messageOf(error) })
    }
    if (this.#state === before) return false
    if (this.#state.type !== before.type) this.#since = performance.now()
    this.runs.onChange(before, this.#state, Date.now())
    if (isUp(this.definition, this.#state)) this.#restarts.onUp()
    // A child that becomes ready before it stops for a restart is not the requested one.
    if (this.goal.type === 'up' && isUp(this.definition, this.#state)) this.request = null
    this.#context.emit({ type: 'changed' })
    return true
  }

  get #attempt(): number {
    return 'attempt' in this.#state ? this.#state.attempt : 0
  }

  #onSpawnFailure(reason: string): void {
    this.#spawning = null
    const isFirst = this.#starts === 0 || (this.request !== null && this.request !== this.#startedRequest)
    this.#context.emit({ type: 'spawn_failed', process: this.name, message: reason })
    const decision: RestartDecision = isFirst
      ? { type: 'failed', reason }
      : decideAfterFailure(this.#restarts.ended(this.#attempt, 0), reason)
    if (!this.#send({ type: 'spawn_failed', decision })) return
    if (!isFirst) return this.#apply(decision, 0)
    this.#clearTimers()
    this.#context.emit({ type: 'failure', process: this.name, reason, cause: 'spawn' })
  }

  #onReady(): void {
    const unhealthySince = this.#state.type === 'unhealthy' ? this.#since : null
    if (!this.#send({ type: 'probe_succeeded' })) return
    this.#clearTimers()
    const readiness = this.#startup.succeed(this.startedAt, unhealthySince)
    this.#context.emit({ type: 'process_ready', process: this.name, ...readiness })
  }

  #onUnhealthy(reason: string): void {
    if (!this.#send({ type: 'probe_failed', reason })) return
    this.#context.emit({ type: 'process_unhealthy', process: this.name, reason })
  }

  #onDead(reason: string): void {
    if (this.#run === null || this.#state.type === 'stopping') return
    const ended = this.#restarts.ended(this.#attempt, elapsed(this.#run.startedAt))
    const decision = decideAfterFailure(ended, `failed its liveness probe: ${reason}`)
    const failures = this.definition.livenessProbe?.failureThreshold ?? 1
    const restarts = decision.type === 'backoff'
    this.#context.emit({ type: 'liveness_failed', process: this.name, reason, failures, restarts })
    if (decision.type === 'failed') this.#reportFailure(decision.reason, this.#restarts.failureCause)
    this.stop(decision)
  }

  #onStartupTimeout(): void {
    const reason = describeStartupTimeout(this, performance.now())
    this.#reportFailure(reason, 'startup_timeout')
    this.stop({ type: 'failed', reason })
  }

  async #awaitExit(run: ChildRun): Promise<void> {
    const exit = await run.exited
    this.#restarts.onExit(exit)
    const uptimeMs = elapsed(run.startedAt)
    await run.outputRead()
    // A stop that began meanwhile handles the exit itself.
    if (this.#run !== run || this.#state.type === 'stopping' || isDown(this.#state)) return
    this.#run = null
    const ended = this.#restarts.ended(this.#attempt, uptimeMs)
    const { decision, succeeded, completes, warns } = outcomeOfExit(ended, exit, this.goal)
    this.groups.childExited({ warns })
    this.#context.emit({ type: 'process_exited', process: this.name, exit, succeeded, completes, uptimeMs })
    // The supervisor may have changed the goal because of the exit.
    const next = afterExit(decision, ended, exit, this.goal)
    this.#send({ type: 'exited', exit, decision: next })
    this.#apply(next, uptimeMs)
    if (completes) this.#context.emit({ type: 'process_completed', process: this.name, exit, afterMs: uptimeMs })
  }

  /** Reports a decision that has become the state, and schedules the restart if it is one. */
  #apply(decision: RestartDecision | { readonly type: 'stopped' }, uptimeMs: number): void {
    if (decision.type === 'backoff') return this.#backoff.begin(decision, uptimeMs)
    this.#clearTimers()
    if (decision.type !== 'failed') return
    void this.groups.reap()
    this.#reportFailure(decision.reason, this.#restarts.failureCause)
  }

  #reportFailure(reason: string, cause: FailureCause): void {
    this.#context.emit({ type: 'process_failed', process: this.name, reason, lastLines: this.#startup.lastLines })
    this.#context.emit({ type: 'failure', process: this.name, reason, cause })
  }

  async #bringDown(): Promise<void> {
    const stoppedAt = performance.now()
    await this.#spawning
    const run = this.#run
    if (run !== null) {
      run.endWatch()
      await this.groups.endChild(run.exited)
      const exit = await run.exited
      await run.outputRead()
      this.#run = null
      this.#send({ type: 'exited', exit, decision: { type: 'stopped' } })
    }
    await this.groups.reap()
    const event = { type: 'process_stopped', process: this.name, tookMs: elapsed(stoppedAt) } as const
    this.#context.emit(this.groups.isKilled ? { ...event, wasKilled: true } : event)
    const outcome = this.#state.type === 'stopping' ? this.#state.outcome : null
    this.#send({ type: 'group_exited' })
    if (outcome?.type === 'backoff') this.#backoff.begin(outcome, 0)
  }

  #clearTimers(): void {
    this.#backoff.clear()
    this.#startup.clear()
  }
}
