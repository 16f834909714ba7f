import { randomUUID } from 'node:crypto'
import type { ResolvedConfig } from '../config/resolved.ts'
import { spawnChild } from './child/child.ts'
import { ConfiguredProcesses } from './configured-processes.ts'
import type { ConfigChange, ExitResult, KillTrigger, StopReason, SupervisorEvent } from './events.ts'
import { exitCodeOf, outcomeOf } from './rules/exit-code.ts'
import type { ExplainedSnapshot } from './waiting/explain.ts'
import { endsRun, handControlled, setGoal, startedByHand } from './goals.ts'
import { differenceOf, type ProcessGraph } from './rules/graph.ts'
import { planStop } from './guard/stop-plan.ts'
import type { ManagedProcess } from './managed-process.ts'
import { OrphanScanner } from './child/orphans.ts'
import type { LogHistory } from './output/log-history.ts'
import type { LogFileProblems } from './output/log-file.ts'
import { Output } from './output/output.ts'
import { carryOut } from './process-action.ts'
import { ProcessCommands } from './process-commands.ts'
import type { ManagedProcessEvent } from './process-context.ts'
import { ReconcileLoop } from './reconcile-loop.ts'
import { isEnded } from './rules/reconcile.ts'
import { StartAnnouncement } from './start-announcement.ts'
import type { Action, Failure, Phase, StartRequest } from './rules/snapshot.ts'
import {
  hasOutcome,
  outcomeOfStart,
  type Reload,
  requestedBy,
  startFailureOf,
  type StartOutcome,
} from './rules/start-outcome.ts'
import type { SupervisorOptions } from './supervisor-options.ts'
import type { ProcessTerminals } from './terminal/process-terminal.ts'
import { elapsed } from './timers.ts'
import { TriggeredActions } from './triggered-actions.ts'
import { WaitReporter } from './waiting/wait-reporter.ts'
import { Waiters } from './waiters.ts'

type ProcessFailed = Extract<SupervisorEvent, { type: 'process_failed' }>

/**
 * Runs the processes of one configuration. After events it takes a snapshot and executes the actions
 * that `reconcile` returns for it, once per turn of the event loop. Handles no signals and never calls process.exit.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #output: Output
  /** Prefix of the run tags of all children; a slash and the name of the process follow. */
  readonly runTag: string
  readonly #orphans: OrphanScanner | null
  /** Checked after each change of a state or a goal. */
  readonly changes = new Waiters()
  readonly #waits: WaitReporter
  readonly #loop = new ReconcileLoop({
    snapshot: () => ({
      phase: this.#phase,
      announced: this.#announcement.result,
      graph: this.graph,
      external: this.#processes.external.state,
      failures: this.#failures,
      isHeld: this.#isHeld,
      isReloading: this.#isReloading,
      now: performance.now(),
    }),
    execute: (action) => this.#carryOut(action),
    onSettled: () => {
      this.changes.check()
      this.#waits.update()
      this.#protect()
    },
  })
  /** The commands `start`, `stop` and `restart`. */
  readonly commands = new ProcessCommands({
    graph: () => this.graph,
    isStopping: () => this.isStopping,
    until: (isMet) => this.#settle(isMet),
  })
  /** The actions of things outside the processes. */
  readonly triggered = new TriggeredActions({
    graph: () => this.graph,
    isStopping: () => this.isStopping,
    emit: (event) => this.#emit(event),
    onAction: () => this.#loop.schedule(),
  })
  readonly #processes: ConfiguredProcesses
  #phase: Phase = 'starting'
  readonly #announcement = new StartAnnouncement()
  #failures: readonly Failure[] = []
  #isHeld = false
  #isReloading = false
  #reason: StopReason | null = null
  #startedAt = 0
  #stoppingSince: number | null = null
  #hasEnded = false

  constructor(config: ResolvedConfig, options: SupervisorOptions) {
    this.#options = options
    this.runTag = options.guard?.runTag ?? randomUUID()
    const scan = {
      killNow: () => this.#phase === 'killed',
      emit: (event: SupervisorEvent) => this.#emit(event),
      secretNames: (name: string) => this.graph.get(name)?.definition.secretNames ?? [],
    }
    // Fake children leave no orphans.
    this.#orphans = options.spawn === undefined ? new OrphanScanner(this.runTag, scan) : null
    this.#output = new Output(config.processes, options, (event) => this.#emit(event))
    this.#processes = new ConfiguredProcesses(config, {
      output: this.#output,
      runTag: this.runTag,
      spawn: options.spawn ?? spawnChild,
      // When everything stops, one scan at the end finds all orphans.
      reapEscaped: async (name, children, report) =>
        this.isStopping ? undefined : this.#orphans?.endOf(name, children, report),
      emit: (event) => this.#onProcessEvent(event),
    })
    this.#waits = new WaitReporter(
      () => this.snapshot,
      (event) => this.#emit(event),
    )
  }

  get graph(): ProcessGraph<ManagedProcess> {
    return this.#processes.graph
  }

  get logs(): LogHistory {
    return this.#output.history
  }

  logFileOf(name: string): LogFileProblems | null {
    return this.#output.logFileOf(name)
  }

  /** The input of `explain`. */
  get snapshot(): ExplainedSnapshot<ManagedProcess> {
    return { graph: this.graph, external: this.#processes.external, now: performance.now() }
  }

  get terminals(): ProcessTerminals {
    return this.#output.terminals
  }

  get isStopping(): boolean {
    return this.#reason !== null
  }

  /** Resolves when no child runs and their output has been written, or its reader is gone. Call it once. */
  async run(): Promise<{ exitCode: number }> {
    this.#startedAt = performance.now()
    await this.#output.prepare()
    this.#protect()
    this.#loop.run()
    await this.#until(() => this.#loop.hasEnded)
    this.#waits.end()
    const since = this.#stoppingSince ?? performance.now()
    await this.#orphans?.endAll()
    await this.#output.finish()
    this.#hasEnded = true
    this.#emit({ type: 'stopped', tookMs: elapsed(since), ...startFailureOf(this.#reason) })
    return { exitCode: exitCodeOf(outcomeOf(this.graph, this.#reason, this.#options.exitCodeFrom)) }
  }

  /** Stops everything in order, in every phase. A second call has no effect: the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason !== null || this.#hasEnded) return
    this.#reason = reason
    this.#phase = 'stopping'
    this.#stoppingSince = performance.now()
    this.#emit({ type: 'stopping', reason })
    this.#processes.external.end()
    setGoal(this.graph.all, 'shutting_down', null)
    this.#loop.schedule()
  }

  /** Sends SIGKILL to everything, synchronously. `trigger` is what has followed the first stop. */
  kill(trigger: KillTrigger | null = null): void {
    this.stop({ type: 'signal', signal: 'SIGKILL' })
    if (trigger !== null && this.#phase !== 'killed' && !this.#hasEnded) this.#emit({ type: 'killing', trigger })
    this.#phase = 'killed'
    this.#loop.run()
    for (const { groups } of this.graph.all) groups.kill()
    this.#orphans?.killAll()
  }

  /**
   * Applies another configuration: starts added, stops removed, restarts changed and keeps unchanged processes.
   * Resolves when the removed and changed processes are down and the new configuration is in force; then another reload is
   * possible.
   */
  async reload(config: ResolvedConfig, cause: ConfigChange = 'reload'): Promise<Reload> {
    if (this.#isReloading) throw new Error('another reload is in progress')
    this.#isReloading = true
    const request = Symbol('reload')
    try {
      const difference = differenceOf(this.graph.config, config, startedByHand(this.graph))
      const unchanged = new Set(difference.unchanged)
      const replaced = this.graph.all.filter(({ name }) => !unchanged.has(name))
      const before = handControlled(replaced)
      setGoal(replaced, 'replaced', request)
      await this.#settle(() => replaced.every(isEnded))
      // A command may have stopped further processes meanwhile.
      const stopped = [...before.stopped, ...handControlled(replaced).stopped]
      const started = [...before.started, ...difference.added]
      if (!this.isStopping) {
        this.#processes.replace(config, unchanged, { stopped, started }, request)
        this.#emit({ type: 'reloaded', cause, ...difference })
        this.#loop.run()
      }
      const requested = requestedBy(request, this.graph)
      return { difference, settled: () => this.#untilStarted(request, requested) }
    } finally {
      this.#isReloading = false
      this.#loop.schedule()
    }
  }

  #onProcessEvent(event: ManagedProcessEvent): void {
    if (event.type === 'process_completed') this.#isHeld = false
    if (event.type === 'failure') {
      this.#failures = [...this.#failures, event]
      this.#isHeld = (this.graph.get(event.process)?.request ?? null) !== null
    } else if (event.type === 'process_failed') this.#emit(this.#withNextRun(event))
    else if (event.type !== 'changed') this.#emit(event)
    if (event.type === 'process_exited') {
      this.#announcement.onExit(this.graph.get(event.process), event.uptimeMs)
      this.#endRunAfter(event.process, event.exit)
    }
    this.#loop.schedule()
  }

  #withNextRun(event: ProcessFailed): ProcessFailed {
    const schedule = this.graph.get(event.process)?.definition.schedule ?? null
    if (schedule === null) return event
    return { ...event, nextRun: this.#options.nextRun?.(event.process)?.toISOString() ?? null }
  }

  /** Stops everything if this exit ends the run (`--abort-on-exit`, `--exit-code-from`). */
  #endRunAfter(name: string, exit: ExitResult): void {
    const managed = this.graph.get(name)
    if (managed === null || this.isStopping || !endsRun(managed, exit, this.graph, this.#options)) return
    this.stop({ type: 'exited', process: name, exit })
    setGoal([managed], 'ended_run', null)
  }

  #emit(event: SupervisorEvent): void {
    this.#output.flush()
    if (event.type === 'internal_error') this.#loop.interrupt()
    this.#options.onEvent(event)
  }

  #protect(): void {
    this.#options.guard?.protect(() => planStop(this.runTag, this.graph))
  }

  #carryOut(action: Action<ManagedProcess>): void {
    if ('managed' in action) return carryOut(action)
    switch (action.type) {
      case 'check_external':
        return this.#processes.external.start()
      case 'forget_external':
        return this.#processes.external.forget()
      case 'fail_external':
        return this.#processes.external.failure === null ? undefined : this.stop(this.#processes.external.failure)
      case 'finish_start':
        this.#phase = 'up'
        return undefined
      case 'announce_ready':
      case 'announce_incomplete':
        return this.#emit(this.#announcement.make(action.type, this.graph, this.#startedAt))
      case 'forget_failures':
        this.#failures = []
        return undefined
      case 'report_failure': {
        const { process: name, reason } = action.failure
        const event = { type: 'process_failed', process: name, reason, isReported: true, lastLines: [] } as const
        return this.#emit(this.#withNextRun(event))
      }
      case 'stop_all':
        return this.stop(action.reason)
      case 'end':
        return this.#loop.end()
    }
  }

  async #untilStarted(request: StartRequest, started: readonly ManagedProcess[]): Promise<StartOutcome> {
    await this.#until(() => hasOutcome(request, started, this.graph))
    return outcomeOfStart(request, started, this.graph)
  }

  /** Reconciles, then resolves as `#until` does. */
  #settle(isMet: () => boolean): Promise<void> {
    this.#loop.run()
    return this.#until(isMet)
  }

  /** Resolves when the condition is met, or everything has stopped. It is checked after every reconciliation. */
  #until(isMet: () => boolean): Promise<void> {
    return this.changes.until(() => isMet() || (this.isStopping && this.graph.all.every(isEnded)))
  }
}
