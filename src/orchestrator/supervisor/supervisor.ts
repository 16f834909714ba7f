import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { ResolvedConfig, ResolvedProcess } from '../config/resolved.ts'
import { DependencyRestarts } from './dependency-restarts.ts'
import { EscapeWatch } from './orphans.ts'
import type { ExitResult, StopReason, SupervisorEvent } from './events.ts'
import { exitCode } from './exit-code.ts'
import { Failures } from './failures.ts'
import { hasSucceeded, ProcessGraph } from './graph.ts'
import { ManagedProcess } from './managed-process.ts'
import { isOver, ManualControl } from './manual-control.ts'
import { ExternalCheck } from './external.ts'
import type { LogHistory } from './output/log-history.ts'
import { Output } from './output/output.ts'
import type { ProcessContext } from './process-context.ts'
import { differenceOf, type ReloadDifference } from './reload-difference.ts'
import { spawnChild } from './child.ts'
import { isFinal } from './state.ts'
import type { SupervisorOptions } from './supervisor-options.ts'
import { elapsed } from './timers.ts'

/** The graph in motion: starts, watches, restarts and stops the processes of one configuration. Touches no signals and no process.exit. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #output: Output
  readonly #mark: string
  readonly #escapes: EscapeWatch | null
  /** Aborted when everything is to stop. */
  readonly #over = new AbortController()
  /** Those that are to go down, or to stay down. */
  readonly #doomed = new Set<ManagedProcess>()
  readonly manual = new ManualControl({
    graph: () => this.#graph,
    isStopping: () => this.isStopping,
    doomed: this.#doomed,
    look: () => this.#look(),
  })
  readonly #failures = new Failures({
    graph: () => this.#graph,
    stop: (reason) => {
      this.#somethingFailed = true
      this.stop(reason)
    },
    doom: (processes) => {
      this.#doom(processes)
      this.#scheduleLook()
    },
  })
  readonly #dependencyRestarts = new DependencyRestarts((process) => this.#graph.dependentsOf(process))
  #graph: ProcessGraph
  #external: ExternalCheck
  #reloading = false
  #finish: () => void = () => {}
  #reason: StopReason | null = null
  #startedAt = 0
  #stoppingSince: number | null = null
  #somethingFailed = false
  #announcedReady = false
  #lookScheduled = false
  #killed = false
  #hasEnded = false

  constructor(config: ResolvedConfig, options: SupervisorOptions) {
    this.#options = options
    this.#mark = options.guard?.mark ?? randomUUID()
    // Imagined children leave nothing on this machine.
    const watch = { killNow: () => this.#killed, emit: (event: SupervisorEvent) => this.#emit(event) }
    this.#escapes = options.spawn === undefined ? new EscapeWatch(this.#mark, watch) : null
    this.#external = this.#checkOf(config)
    const names = config.processes.map((process) => process.name)
    this.#output = new Output(names, options, (event) => this.#emit(event))
    this.#graph = new ProcessGraph(config, (definition) => this.#manage(definition))
  }

  get graph(): ProcessGraph {
    return this.#graph
  }

  get processes(): readonly ManagedProcess[] {
    return this.#graph.all
  }

  get configPath(): string {
    return this.#graph.config.path
  }

  get logs(): LogHistory {
    return this.#output.history
  }

  get isStopping(): boolean {
    return this.#reason !== null
  }

  /** Resolves when nothing is left: no child, and every line of theirs written (or its reader gone). Call it once. */
  async run(): Promise<{ exitCode: number }> {
    this.#startedAt = performance.now()
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    await this.#output.prepare()
    this.#options.guard?.protect(() => this.#graph.stopPlan(this.#mark))
    this.#look()
    await finished
    const since = this.#stoppingSince ?? performance.now()
    await this.#escapes?.endAll()
    await this.#output.finish()
    this.#hasEnded = true
    this.#emit({ type: 'stopped', tookMs: elapsed(since) })
    return { exitCode: this.#exitCode() }
  }

  /** Stops everything in order. Works in every phase; asking again changes nothing, the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason !== null || this.#hasEnded) return
    this.#reason = reason
    this.#stoppingSince = performance.now()
    this.#emit({ type: 'stopping', reason })
    this.#over.abort()
    this.#doom(this.#graph.all)
    this.#look()
  }

  /** SIGKILL to everything at once, synchronously. */
  kill(): void {
    this.#killed = true
    this.stop({ type: 'signal', signal: 'SIGKILL' })
    this.#look()
    for (const process of this.#graph.all) process.kill()
    this.#escapes?.killAll()
  }

  /**
   * Puts another configuration in the place of this one: what is new starts, what is gone stops, what is different goes down
   * and up, and the rest is not touched (O-39). Resolves when what had to go is down and the rest is on its way. Throws if
   * another reload is under way.
   */
  async reload(config: ResolvedConfig): Promise<ReloadDifference> {
    if (this.#reloading) throw new Error('another reload is under way')
    this.#reloading = true
    try {
      const difference = differenceOf(this.#graph.config, config)
      const heldBefore = this.manual.held
      await this.manual.hold([...difference.removed, ...difference.changed])
      if (!this.isStopping) this.#replace(config, difference, heldBefore)
      return difference
    } finally {
      this.#reloading = false
      this.#scheduleLook()
    }
  }

  #replace(config: ResolvedConfig, difference: ReloadDifference, heldBefore: readonly string[]): void {
    const before = this.#graph
    const kept = new Set(difference.unchanged)
    this.#output.setProcesses(config.processes.map(({ name }) => name))
    if (!isDeepStrictEqual(before.config.external, config.external)) this.#external = this.#checkOf(config)
    this.#graph = new ProcessGraph(config, (definition) => {
      const old = kept.has(definition.name) ? before.get(definition.name) : null
      return old ?? this.#manage(definition)
    })
    // Whoever stopped it by hand did not ask for its new version.
    this.manual.moveTo(heldBefore)
    this.#emit({ type: 'reloaded', ...difference })
    this.#look()
  }

  #manage(definition: ResolvedProcess): ManagedProcess {
    return new ManagedProcess(definition, this.#contextOf(definition.name))
  }

  #checkOf(config: ResolvedConfig): ExternalCheck {
    return new ExternalCheck(config.external, this.#over.signal, {
      onWaiting: (address) => this.#emit({ type: 'mqtt_broker_waiting', address }),
      onReachable: () => this.#look(),
      onUnreachable: (address, reason) => {
        this.#emit({ type: 'mqtt_broker_unreachable', address, reason })
        this.stop({ type: 'mqtt_broker_unreachable', address, reason })
      },
    })
  }

  #contextOf(name: string): ProcessContext {
    return {
      output: this.#output,
      mark: `${this.#mark}/${name}`,
      spawn: this.#options.spawn ?? spawnChild,
      emit: (event) => this.#emit(event),
      changed: (process, before) => {
        this.#dependencyRestarts.follow(process, before)
        this.#scheduleLook()
      },
      mayRestart: (process) =>
        !this.#doomed.has(process) &&
        !this.#graph.dependentsOf(process).some((one) => this.#dependencyRestarts.has(one)),
      staysDown: (process, exit) => {
        if (this.#doomed.has(process)) return hasSucceeded(process.definition, exit) ? 'completed' : 'stopped'
        return this.#endsAll(process, exit) ? 'completed' : null
      },
      // At the end of all one look finds what everybody left behind.
      endEscaped: async ({ name }, children) => (this.isStopping ? undefined : this.#escapes?.endOf(name, children)),
      wentDown: (process, exit) => {
        if (this.#endsAll(process, exit)) this.stop({ type: 'exited', process: process.name, exit })
      },
      couldNotStart: (process, message) => this.#failures.couldNotStart(process, message),
      gaveUp: (process, message) => this.#failures.gaveUp(process, message),
      failed: (process, reason) => this.#failures.failed(process, reason),
    }
  }

  #emit(event: SupervisorEvent): void {
    this.#output.flush()
    if (event.type === 'process_failed' || event.type === 'process_skipped') this.#somethingFailed = true
    this.#options.onEvent(event)
  }

  #scheduleLook(): void {
    if (this.#lookScheduled) return
    this.#lookScheduled = true
    setImmediate(() => {
      this.#lookScheduled = false
      this.#look()
    })
  }

  /** Does whatever has become possible. Every change of any process leads here. */
  #look(): void {
    this.#graph.skipHopeless()
    this.#checkExternal()
    // Once everything goes down, it does so in one order.
    if (!this.isStopping) this.#dependencyRestarts.advance()
    const processes = this.#graph.all
    for (const process of processes) {
      if (process.state.type === 'waiting' && this.#mayStart(process)) process.start()
      else process.restartIfDue()
    }
    this.#announceReady()
    const mayEnd = this.isStopping || !(this.manual.isHolding || this.#reloading)
    if (mayEnd && processes.every((process) => isFinal(process.state))) this.#doom(processes)
    for (const process of this.#doomed) {
      if (this.#killed || this.#mayStop(process)) process.stop()
    }
    this.manual.notice()
    if (mayEnd && processes.every(isOver)) this.#finish()
    this.#options.guard?.protect(() => this.#graph.stopPlan(this.#mark))
  }

  #doom(processes: Iterable<ManagedProcess>): void {
    for (const process of processes) this.#doomed.add(process)
  }

  #mayStart(process: ManagedProcess): boolean {
    if (this.#doomed.has(process) || this.#dependencyRestarts.has(process)) return false
    const waits = process.definition.usesExternal && this.#external.state !== 'reachable'
    return !waits && this.#graph.hasAll(process)
  }

  /** Dependents go before what they depend on; one that waits for its restart is of no use to them. */
  #mayStop(process: ManagedProcess): boolean {
    if (process.state.type === 'backoff') return true
    return this.#graph.dependentsOf(process).every((dependent) => !this.#doomed.has(dependent) || dependent.isQuiet)
  }

  /** Checks the external address, as soon as the process that provides it is ready, if one does. */
  #checkExternal(): void {
    const provider = this.#graph.config.external.providedBy
    const mayBeThere = provider === null || this.#graph.standing({ name: provider, condition: 'ready' }).type === 'met'
    if (mayBeThere) this.#external.start()
  }

  #endsAll(process: ManagedProcess, exit: ExitResult): boolean {
    if (this.#over.signal.aborted) return false
    if (process.name === this.#options.exitCodeFrom) return true
    return this.#options.abortOnExit && !this.#graph.isStep(process, exit)
  }

  #announceReady(): void {
    if (this.#announcedReady || this.#over.signal.aborted) return
    const processes = this.#graph.all
    if (!processes.every((process) => this.#graph.isUp(process))) return
    this.#announcedReady = true
    this.#emit({ type: 'all_ready', afterMs: elapsed(this.#startedAt), count: processes.length })
  }

  #exitCode(): number {
    const named = this.#options.exitCodeFrom === null ? null : this.#graph.get(this.#options.exitCodeFrom)?.state
    return exitCode({
      reason: this.#reason,
      somethingFailed: this.#somethingFailed,
      namedWanted: this.#options.exitCodeFrom !== null,
      exitOfNamed: named !== null && named !== undefined && 'exit' in named ? named.exit : null,
    })
  }
}
