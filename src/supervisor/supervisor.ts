import { randomUUID } from 'node:crypto'
import type { ResolvedConfig } from './config/resolved.ts'
import { dependenciesOf, reachable, standing, type Dependency } from './dependencies.ts'
import { DependencyRestarts } from './dependency-restarts.ts'
import { endEscaped, killEscaped } from './escaped.ts'
import type { ExitResult, StopReason, SupervisorEvent } from './events.ts'
import { exitCode } from './exit-code.ts'
import { dependentsOf } from './graph.ts'
import type { GuardPlan } from './guard/plan.ts'
import { ManagedProcess } from './managed-process.ts'
import { BrokerGate } from './mqtt-broker.ts'
import { Output } from './output/output.ts'
import type { ProcessContext } from './process-context.ts'
import { spawnChild } from './spawn-child.ts'
import { isFinal } from './state.ts'
import type { SupervisorOptions } from './supervisor-options.ts'

/** The graph in motion: starts, watches, restarts and stops the processes of one configuration. Touches no signals and no process.exit. */
export class Supervisor {
  readonly #config: ResolvedConfig
  readonly #options: SupervisorOptions
  readonly #output: Output
  readonly #mark: string
  readonly #processes: ReadonlyMap<string, ManagedProcess>
  readonly #dependencies: ReadonlyMap<string, readonly Dependency[]>
  readonly #dependents: ReadonlyMap<string, readonly string[]>
  /** Aborted when everything is to stop. */
  readonly #over = new AbortController()
  /** Those that are to go down, or to stay down. */
  readonly #doomed = new Set<ManagedProcess>()
  readonly #dependencyRestarts = new DependencyRestarts((process) => this.#dependentsOf(process))
  readonly #broker: BrokerGate
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
    this.#config = config
    this.#options = options
    this.#mark = options.guard?.mark ?? randomUUID()
    this.#broker = new BrokerGate(config.mqttBroker, this.#over.signal, {
      onWaiting: (address) => this.#emit({ type: 'mqtt_broker_waiting', address }),
      onReachable: () => this.#look(),
      onUnreachable: (address, reason) => {
        this.#emit({ type: 'mqtt_broker_unreachable', address, reason })
        this.stop({ type: 'mqtt_broker_unreachable', address, reason })
      },
    })
    this.#dependencies = dependenciesOf(config)
    this.#dependents = dependentsOf([...this.#dependencies].map(([name, dependsOn]) => ({ name, dependsOn })))
    const names = config.processes.map((process) => process.name)
    this.#output = new Output(names, options, (stream, reason) => this.#emit({ type: 'output_closed', stream, reason }))
    this.#processes = new Map(
      config.processes.map((definition) => {
        const process = new ManagedProcess(definition, this.#contextOf(definition.name))
        return [definition.name, process]
      }),
    )
  }

  /** Resolves when nothing is left: no child, and every line of theirs written (or its reader gone). Call it once. */
  async run(): Promise<{ exitCode: number }> {
    this.#startedAt = performance.now()
    const finished = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    await this.#output.prepare()
    this.#options.guard?.protect(() => this.#guardPlan())
    this.#look()
    await finished
    const since = this.#stoppingSince ?? performance.now()
    await endEscaped(this.#mark, { killNow: () => this.#killed, emit: (event) => this.#emit(event) })
    await this.#output.finish()
    this.#hasEnded = true
    this.#emit({ type: 'stopped', tookMs: Math.round(performance.now() - since) })
    return { exitCode: this.#exitCode() }
  }

  /** Stops everything in order. Works in every phase; asking again changes nothing, the first reason counts. */
  stop(reason: StopReason): void {
    if (this.#reason !== null || this.#hasEnded) return
    this.#reason = reason
    this.#stoppingSince = performance.now()
    this.#emit({ type: 'stopping', reason })
    this.#over.abort()
    this.#doom(this.#processes.values())
    this.#look()
  }

  /** SIGKILL to everything at once, synchronously. */
  kill(): void {
    this.#killed = true
    this.stop({ type: 'signal', signal: 'SIGKILL' })
    this.#look()
    for (const process of this.#processes.values()) process.kill()
    killEscaped(this.#mark)
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
        !this.#doomed.has(process) && !this.#dependentsOf(process).some((one) => this.#dependencyRestarts.has(one)),
      staysDown: (process, exit) => this.#doomed.has(process) || this.#endsAll(process, exit),
      wentDown: (process, exit) => {
        if (this.#endsAll(process, exit)) this.stop({ type: 'exited', process: process.name, exit })
      },
      couldNotStart: (process, message) => this.#failStart(process, message),
      gaveUp: (process, message) => {
        if (process.definition.kind === 'task' || this.#hasWaitingDependents(process)) this.#failStart(process, message)
        else this.#onFailed(process, message)
      },
      failed: (process, reason) => this.#onFailed(process, reason),
    }
  }

  #emit(event: SupervisorEvent): void {
    if (event.type === 'process_failed' || event.type === 'process_skipped') this.#somethingFailed = true
    this.#options.onEvent(event)
  }

  /** Many changes of one turn are looked at once. */
  #scheduleLook(): void {
    if (this.#lookScheduled) return
    this.#lookScheduled = true
    queueMicrotask(() => {
      this.#lookScheduled = false
      this.#look()
    })
  }

  /** Does whatever has become possible. Every change of any process leads here. */
  #look(): void {
    this.#skipHopeless()
    this.#checkBroker()
    this.#dependencyRestarts.advance()
    for (const process of this.#processes.values()) {
      if (process.state.type === 'waiting' && this.#mayStart(process)) process.start()
      else process.restartIfDue()
    }
    this.#announceReady()
    const processes = [...this.#processes.values()]
    if (processes.every((process) => isFinal(process.state))) this.#doom(processes)
    for (const process of this.#doomed) {
      if (this.#killed || this.#mayStop(process)) process.stop()
    }
    if (processes.every((process) => process.isQuiet && isFinal(process.state))) this.#finish()
    this.#options.guard?.protect(() => this.#guardPlan())
  }

  #guardPlan(): GuardPlan {
    const processes = [...this.#processes.values()].map((process) => ({
      name: process.name,
      groups: [...process.groups],
      signal: process.definition.shutdown.signal,
      timeoutMs: process.definition.shutdown.timeoutMs,
      dependents: [...(this.#dependents.get(process.name) ?? [])],
    }))
    return { mark: this.#mark, processes }
  }

  #doom(processes: Iterable<ManagedProcess>): void {
    for (const process of processes) this.#doomed.add(process)
  }

  #mayStart(process: ManagedProcess): boolean {
    if (this.#doomed.has(process) || this.#dependencyRestarts.has(process)) return false
    if (process.definition.usesMqttBroker && !this.#broker.isOpen && !this.#isBroker(process)) return false
    return this.#dependenciesOf(process).every((dependency) => this.#standing(dependency).type === 'met')
  }

  /** Dependents go before what they depend on; one that waits for its restart is of no use to them. */
  #mayStop(process: ManagedProcess): boolean {
    if (process.state.type === 'backoff') return true
    return this.#dependentsOf(process).every((dependent) => !this.#doomed.has(dependent) || dependent.isQuiet)
  }

  /** Those that wait for what can never be, and in turn those that wait for them. */
  #skipHopeless(): void {
    for (let skipped = true; skipped;) {
      skipped = false
      for (const process of this.#processes.values()) {
        if (process.state.type !== 'waiting') continue
        const reasons = this.#dependenciesOf(process).map((dependency) => this.#standing(dependency))
        const hopeless = reasons.find((reason) => reason.type === 'never')
        if (hopeless === undefined) continue
        process.skip(hopeless.because)
        skipped = true
      }
    }
  }

  #onFailed(process: ManagedProcess, reason: string): void {
    if (process.definition.whenFailed === 'stop') this.stop({ type: 'process_failed', process: process.name, reason })
    else if (process.definition.kind === 'task') this.#onTaskFailed(process, reason)
  }

  /** Its dependents are skipped, everything is stopped. */
  #failStart(process: ManagedProcess, message: string): void {
    this.#skipHopeless()
    this.#somethingFailed = true
    this.stop({ type: 'start_failed', process: process.name, message })
  }

  /** What waits for the end of a task, however it ends, still runs, and what that needs stays up; all else is stopped. */
  #onTaskFailed(task: ManagedProcess, reason: string): void {
    this.#skipHopeless()
    const waits = (name: string) => this.#processes.get(name)?.state.type === 'waiting'
    const namesOf = (name: string) => (this.#dependencies.get(name) ?? []).map((dependency) => dependency.name)
    const next = (this.#dependents.get(task.name) ?? []).filter(waits)
    const later = reachable(next, (name) => (this.#dependents.get(name) ?? []).filter(waits))
    if (later.size === 0) {
      this.#failStart(task, reason)
      return
    }
    const kept = reachable(later, namesOf)
    this.#doom([...this.#processes.values()].filter((process) => !kept.has(process.name)))
    this.#scheduleLook()
  }

  #hasWaitingDependents(process: ManagedProcess): boolean {
    return this.#dependentsOf(process).some((dependent) => dependent.state.type === 'waiting')
  }

  /** Looks for the broker, as soon as the process that provides it is ready, if one does. */
  #checkBroker(): void {
    const provider = this.#config.mqttBroker.providedBy
    const mayBeThere = provider === null || this.#standing({ name: provider, condition: 'ready' }).type === 'met'
    if (mayBeThere) this.#broker.check()
  }

  #isBroker(process: ManagedProcess): boolean {
    return process.name === this.#config.mqttBroker.providedBy
  }

  /** A task that others were waiting for, and that succeeded, is a step of the start and not an end. */
  #endsAll(process: ManagedProcess, exit: ExitResult): boolean {
    if (this.#over.signal.aborted) return false
    if (process.name === this.#options.exitCodeFrom) return true
    const isStep = process.definition.kind === 'task' && exit.code === 0 && this.#dependentsOf(process).length > 0
    return this.#options.abortOnExit && !isStep
  }

  #announceReady(): void {
    if (this.#announcedReady || this.#over.signal.aborted) return
    const processes = [...this.#processes.values()]
    if (!processes.every(isUp)) return
    this.#announcedReady = true
    const afterMs = Math.round(performance.now() - this.#startedAt)
    this.#emit({ type: 'all_ready', afterMs, count: processes.length })
  }

  /** What is not supervised here (disabled, left out) counts as there. */
  #standing(dependency: Dependency): ReturnType<typeof standing> {
    const process = this.#processes.get(dependency.name)
    if (process === undefined) return { type: 'met' }
    return standing(process.definition, process.state, dependency.condition)
  }

  #dependenciesOf(process: ManagedProcess): readonly Dependency[] {
    return this.#dependencies.get(process.name) ?? []
  }

  #dependentsOf(process: ManagedProcess): ManagedProcess[] {
    return (this.#dependents.get(process.name) ?? []).flatMap((name) => this.#processes.get(name) ?? [])
  }

  #exitCode(): number {
    const named = this.#options.exitCodeFrom === null ? null : this.#processes.get(this.#options.exitCodeFrom)?.state
    return exitCode({
      reason: this.#reason,
      somethingFailed: this.#somethingFailed,
      namedWanted: this.#options.exitCodeFrom !== null,
      exitOfNamed: named !== null && named !== undefined && 'exit' in named ? named.exit : null,
    })
  }
}

/** Ready, running with no probe to say more, or done. */
function isUp({ definition, state }: ManagedProcess): boolean {
  if (state.type === 'running') return definition.readinessProbe === null && definition.kind === 'service'
  return state.type === 'ready' || state.type === 'completed'
}
