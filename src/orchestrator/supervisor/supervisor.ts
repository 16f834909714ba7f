import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import { type SpawnChild, spawnChild } from './child.ts'
import type { ExitResult, ReloadDifference, StopReason, SupervisorEvent } from './events.ts'
import type { ExplainedSnapshot } from './explain.ts'
import { ExternalCheck } from './external.ts'
import {
  countActive,
  endsRun,
  type HandControlled,
  handControlled,
  isDownFor,
  restoreHandControl,
  setGoal,
} from './goals.ts'
import { differenceOf, ProcessGraph } from './graph.ts'
import { planStop, type StopPlan } from './guard/stop-plan.ts'
import { ManagedProcess, type ManagedProcessEvent } from './managed-process.ts'
import { OrphanScanner } from './orphans.ts'
import type { LogHistory } from './output/log-history.ts'
import { Output, type OutputOptions } from './output/output.ts'
import { type Action, exitCodeOf, type Failure, isEnded, isSettled, type Phase, reconcile } from './reconcile.ts'
import { type DownReason, isFinal, UP } from './state.ts'
import { elapsed } from './timers.ts'
import { TriggeredActions } from './triggered-actions.ts'
import { WaitReporter } from './wait-reporter.ts'

export interface SupervisorOptions extends OutputOptions {
  /** The first exit of any process stops all, and its code is the orchestrator's. */
  readonly abortOnExit: boolean
  /** The exit of this process stops all, and its code is the orchestrator's. */
  readonly exitCodeFrom: string | null
  /** Ends the children if the orchestrator is killed. */
  readonly guard?: {
    /** Prefix of the run tag of every child. */
    readonly runTag: string
    /** Called once before the first child starts, and then whenever the running children may have changed. */
    protect(makePlan: () => StopPlan): void
  }
  /** Starts the children; operating system processes by default. */
  readonly spawn?: SpawnChild
  /** Called in order, one event at a time. Must not throw. */
  onEvent(event: SupervisorEvent): void
}

/**
 * Runs the processes of one configuration. After events it takes a snapshot and executes the actions
 * that `reconcile` returns for it, once per turn of the event loop. Handles no signals and never calls process.exit.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #output: Output
  readonly #runTag: string
  readonly #orphans: OrphanScanner | null
  /** Aborted when everything must stop. */
  readonly #stopping = new AbortController()
  /** Called after each change of a state or a goal, until removed. */
  readonly changeListeners = new Set<() => void>()
  readonly #waits: WaitReporter
  /** The actions of things outside the processes. */
  readonly triggered = new TriggeredActions({
    graph: () => this.#graph,
    isStopping: () => this.isStopping,
    emit: (event) => this.#emit(event),
    onAction: () => this.#schedule(),
  })
  #graph: ProcessGraph<ManagedProcess>
  #external: ExternalCheck
  #phase: Phase = 'starting'
  #failures: readonly Failure[] = []
  #isReloading = false
  #isScheduled = false
  #isReconciling = false
  #hasInternalError = false
  #hasFinished = false
  #reason: StopReason | null = null
  #startedAt = 0
  #stoppingSince: number | null = null
  #hasFailures = false
  #hasEnded = false

  constructor(config: ResolvedConfig, options: SupervisorOptions) {
    this.#options = options
    this.#runTag = options.guard?.runTag ?? randomUUID()
    const scan = { killNow: () => this.#phase === 'killed', emit: (event: SupervisorEvent) => this.#emit(event) }
    // Fake children leave no orphans.
    this.#orphans = options.spawn === undefined ? new OrphanScanner(this.#runTag, scan) : null
    this.#external = this.#createExternalCheck(config)
    this.#output = new Output(config.processes, options, (event) => this.#emit(event))
    this.#graph = new ProcessGraph(config, (definition) => this.#createProcess(definition))
    this.#waits = new WaitReporter(
      () => this.snapshot,
      (event) => this.#emit(event),
    )
  }

  get graph(): ProcessGraph<ManagedProcess> {
    return this.#graph
  }

  get logs(): LogHistory {
    return this.#output.history
  }

  /** The input of `explain`. */
  get snapshot(): ExplainedSnapshot<ManagedProcess> {
    return { graph: this.#graph, external: this.#external, now: performance.now() }
  }

  get isStopping(): boolean {
    return this.#reason !== null
  }

  /** Resolves when no child runs and their output has been written, or its reader is gone. Call it once. */
  async run(): Promise<{ exitCode: number }> {
    this.#startedAt = performance.now()
    await this.#output.prepare()
    this.#options.guard?.protect(() => planStop(this.#runTag, this.#graph))
    this.#reconcile()
    await this.#until(() => this.#hasFinished)
    this.#waits.end()
    const since = this.#stoppingSince ?? performance.now()
    await this.#orphans?.endAll()
    await this.#output.finish()
    this.#hasEnded = true
    this.#emit({ type: 'stopped', tookMs: elapsed(since) })
    return { exitCode: this.#exitCode() }
  }

  /** Stops everything in order, in every phase. A second call has no effect: the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason !== null || this.#hasEnded) return
    this.#reason = reason
    this.#phase = 'stopping'
    this.#stoppingSince = performance.now()
    this.#emit({ type: 'stopping', reason })
    this.#stopping.abort()
    setGoal(this.#graph.all, 'shutting_down')
    this.#schedule()
  }

  /** Sends SIGKILL to everything, synchronously. */
  kill(): void {
    this.stop({ type: 'signal', signal: 'SIGKILL' })
    this.#phase = 'killed'
    this.#reconcile()
    for (const managed of this.#graph.all) managed.kill()
    this.#orphans?.killAll()
  }

  /**
   * Starts processes as soon as their dependencies are met, without waiting for the end of a backoff. Resolves when each is
   * up, has ended, or waits for a dependency that is stopped.
   */
  async startProcesses(names: readonly string[]): Promise<void> {
    const chosen = this.#graph.named(names)
    await this.#until(() => chosen.every(({ state }) => state.type !== 'stopping'))
    if (this.isStopping) return
    const idle = chosen.filter((managed) => !isDownFor(managed, 'restarting') && !isDownFor(managed, 'replaced'))
    for (const managed of idle) {
      managed.goal = UP
      if (isFinal(managed.state)) managed.reset()
    }
    await Promise.all(idle.flatMap((managed) => (managed.state.type === 'backoff' ? [managed.skipBackoff()] : [])))
    await this.#untilSettled(chosen)
  }

  /** Stops processes, dependents first, and keeps them down until they are started. Resolves when they are down. */
  async stopProcesses(names: readonly string[]): Promise<void> {
    await this.#bringDown(this.#graph.named(names), 'by_hand')
  }

  /** Restarts processes, except those that wait for dependencies. Resolves as `startProcesses` does. */
  async restartProcesses(names: readonly string[]): Promise<void> {
    const named = this.#graph.named(names)
    const chosen = named.filter((managed) => managed.state.type !== 'waiting' && !isDownFor(managed, 'replaced'))
    setGoal(chosen, 'restarting')
    await this.#untilSettled(chosen)
  }

  /**
   * Applies another configuration: starts added, stops removed, restarts changed and keeps unchanged processes.
   * Resolves when the removed and changed processes are down and the new configuration is in force.
   */
  async reload(config: ResolvedConfig): Promise<ReloadDifference> {
    if (this.#isReloading) throw new Error('another reload is in progress')
    this.#isReloading = true
    try {
      const difference = differenceOf(this.#graph.config, config)
      const unchanged = new Set(difference.unchanged)
      const replaced = this.#graph.all.filter(({ name }) => !unchanged.has(name))
      const byHand = handControlled(replaced)
      await this.#bringDown(replaced, 'replaced')
      if (!this.isStopping) this.#replace(config, difference, byHand)
      return difference
    } finally {
      this.#isReloading = false
      this.#schedule()
    }
  }

  /** Replaces the processes. The new version of a process that was stopped or started manually is down or starts, too. */
  #replace(config: ResolvedConfig, difference: ReloadDifference, byHand: HandControlled): void {
    const before = this.#graph
    const unchanged = new Set(difference.unchanged)
    this.#output.setProcesses(config.processes)
    if (!isDeepStrictEqual(before.config.external, config.external)) this.#external = this.#createExternalCheck(config)
    const kept = ({ name }: ResolvedProcess) => (unchanged.has(name) ? before.get(name) : null)
    this.#graph = new ProcessGraph(config, (definition) => kept(definition) ?? this.#createProcess(definition))
    restoreHandControl(this.#graph, byHand)
    this.#emit({ type: 'reloaded', ...difference })
    this.#reconcile()
  }

  #createProcess(definition: ResolvedProcess): ManagedProcess {
    const { name } = definition
    return new ManagedProcess(definition, {
      output: this.#output,
      runTag: `${this.#runTag}/${name}`,
      spawn: this.#options.spawn ?? spawnChild,
      // When everything stops, one scan at the end finds all orphans.
      reapEscaped: async (children) => (this.isStopping ? undefined : this.#orphans?.endOf(name, children)),
      emit: (event) => this.#onProcessEvent(event),
    })
  }

  #createExternalCheck(config: ResolvedConfig): ExternalCheck {
    return new ExternalCheck(config.external, this.#stopping.signal, (event) => {
      if (event.type === 'mqtt_broker_reachable') this.#schedule()
      else this.#emit(event)
      if (event.type === 'mqtt_broker_unreachable') this.stop(event)
    })
  }

  #onProcessEvent(event: ManagedProcessEvent): void {
    if (event.type === 'failure') this.#failures = [...this.#failures, event]
    else if (event.type !== 'changed') this.#emit(event)
    if (event.type === 'process_exited') this.#endRunAfter(event.process, event.exit)
    this.#schedule()
  }

  /** Stops everything if this exit ends the run (`--abort-on-exit`, `--exit-code-from`). */
  #endRunAfter(name: string, exit: ExitResult): void {
    const managed = this.#graph.get(name)
    if (managed === null || this.isStopping || !endsRun(managed, exit, this.#graph, this.#options)) return
    this.stop({ type: 'exited', process: name, exit })
    setGoal([managed], 'ended_run')
  }

  #emit(event: SupervisorEvent): void {
    this.#output.flush()
    if (event.type === 'internal_error') this.#hasInternalError = true
    if (event.type === 'process_failed' || event.type === 'process_skipped') this.#hasFailures = true
    this.#options.onEvent(event)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#reconcile()
    })
  }

  #reconcile(): void {
    if (this.#isReconciling || this.#hasFinished) return
    this.#isReconciling = true
    this.#hasInternalError = false
    try {
      let actions: readonly Action<ManagedProcess>[]
      do {
        actions = reconcile({
          phase: this.#phase,
          graph: this.#graph,
          external: this.#external.state,
          failures: this.#failures,
          isReloading: this.#isReloading,
        })
        for (const action of actions) this.#carryOut(action)
        // After an internal error, an action that had no effect would be the next action again.
      } while (actions.length > 0 && !this.#hasFinished && !this.#hasInternalError)
    } finally {
      this.#isReconciling = false
    }
    for (const check of this.changeListeners) check()
    this.#waits.update()
    this.#options.guard?.protect(() => planStop(this.#runTag, this.#graph))
  }

  #carryOut(action: Action<ManagedProcess>): void {
    switch (action.type) {
      case 'start':
      case 'reset':
      case 'reap':
        return action.managed[action.type]()
      case 'stop':
        return action.managed.stop(action.outcome)
      case 'skip':
        return action.managed.skip(action.because)
      case 'set_goal':
        action.managed.goal = action.goal
        return undefined
      case 'check_external':
        return this.#external.start()
      case 'announce_ready':
        this.#phase = 'up'
        return this.#emit({ type: 'all_ready', afterMs: elapsed(this.#startedAt), count: countActive(this.#graph) })
      case 'forget_failures':
        this.#failures = []
        return undefined
      case 'report_failure': {
        const { process: name, reason } = action.failure
        return this.#emit({ type: 'process_failed', process: name, reason, lastLines: [] })
      }
      case 'stop_all':
        this.#hasFailures = true
        return this.stop(action.reason)
      case 'end':
        this.#hasFinished = true
        return undefined
    }
  }

  async #bringDown(processes: readonly ManagedProcess[], reason: DownReason): Promise<void> {
    setGoal(processes, reason)
    this.#reconcile()
    await this.#until(() => processes.every(isEnded))
  }

  async #untilSettled(processes: readonly ManagedProcess[]): Promise<void> {
    this.#reconcile()
    await this.#until(() => processes.every((managed) => isSettled(managed, this.#graph)))
  }

  /** Resolves when the condition is met, or everything has stopped. It is checked after every reconciliation. */
  #until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!isMet() && !(this.isStopping && this.#graph.all.every(isEnded))) return
        this.changeListeners.delete(check)
        resolve()
      }
      this.changeListeners.add(check)
      check()
    })
  }

  #exitCode(): number {
    const { exitCodeFrom } = this.#options
    const state = exitCodeFrom === null ? undefined : this.#graph.get(exitCodeFrom)?.state
    return exitCodeOf({
      reason: this.#reason,
      hasFailures: this.#hasFailures,
      isCodeFromProcess: exitCodeFrom !== null,
      exitOfProcess: state !== undefined && 'exit' in state ? state.exit : null,
    })
  }
}
