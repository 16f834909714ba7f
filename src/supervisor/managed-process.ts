import { verdictAfterExit, verdictAfterSpawnFailure, type Ended } from './backoff.ts'
import { ChildRun } from './child-run.ts'
import type { ResolvedProcess } from './config/resolved.ts'
import type { ExitResult, SupervisorEvent } from './events.ts'
import type { Output } from './output/output.ts'
import { RecentLines } from './output/recent-lines.ts'
import type { ProcessGroup } from './process-group.ts'
import { LONGEST_TIMER_MS } from './sleep.ts'
import { spawnChild } from './spawn-child.ts'
import {
  INITIAL_STATE,
  isDown,
  transition,
  type ProcessEvent,
  type ProcessState,
  type StopOutcome,
  type Verdict,
} from './state.ts'

/** What a process needs of its supervisor. */
export interface ProcessContext {
  readonly output: Output
  /** The value of the variable that marks its children and all that they start. */
  readonly mark: string
  emit(event: SupervisorEvent): void
  /** Its state is another one: others may be able to start or stop now. */
  changed(process: ManagedProcess): void
  /** Whether its end is to end everything: then it is not restarted. */
  endsAll(process: ManagedProcess, exit: ExitResult): boolean
  /** It has ended, and everything is to. */
  endAll(process: ManagedProcess, exit: ExitResult): void
  /** Its very first start failed. */
  couldNotStart(process: ManagedProcess, message: string): void
  /** It has failed for good, by its end or by a start that failed later. */
  failed(process: ManagedProcess, reason: string): void
  /** It was not ready in time. */
  gaveUp(process: ManagedProcess, message: string): void
}

/** One process of the configuration through all its children: starts, watches, restarts and stops it. */
export class ManagedProcess {
  readonly definition: ResolvedProcess
  readonly #context: ProcessContext
  /** Groups that outlived their leader; they are emptied before the next start, or at the end. */
  readonly #leftovers = new Set<ProcessGroup>()
  readonly #recent = new RecentLines()
  #state: ProcessState = INITIAL_STATE
  #run: ChildRun | null = null
  #spawning: Promise<void> | null = null
  #clearing: Promise<void> | null = null
  #restartTimer: NodeJS.Timeout | null = null
  #startupTimer: NodeJS.Timeout | null = null
  #everSpawned = false
  #everReady = false
  #firstStartAt = 0
  #killed = false

  constructor(definition: ResolvedProcess, context: ProcessContext) {
    this.definition = definition
    this.#context = context
  }

  get name(): string {
    return this.definition.name
  }

  get state(): ProcessState {
    return this.#state
  }

  /** Nothing of it runs, and nothing that a child of it left behind. */
  get isQuiet(): boolean {
    return isDown(this.#state) && this.#leftovers.size === 0
  }

  /** Ids of the process groups that may have members. */
  get groups(): readonly number[] {
    const groups = this.#run === null ? this.#leftovers : [this.#run.group, ...this.#leftovers]
    return [...groups].map((group) => group.id)
  }

  /** Starts it, if it waits. */
  start(): void {
    if (this.#state.type !== 'waiting') return
    this.#firstStartAt = performance.now()
    this.#armStartupTimer()
    this.#launch()
  }

  skip(because: string): void {
    if (this.#send({ type: 'skip', because }))
      this.#context.emit({ type: 'process_skipped', process: this.name, because })
  }

  /** Brings it down, in whatever state it is; it ends in a final state, or waits again if that is the outcome asked for. */
  stop(outcome: StopOutcome = { type: 'stopped' }): void {
    const wasStopping = this.#state.type === 'stopping'
    this.#send({ type: 'stop', outcome })
    if (wasStopping) return
    if (this.state.type === 'stopping') {
      this.#clearTimers()
      void this.#bringDown()
    } else void this.#clearLeftovers()
  }

  /** SIGKILL, now, to the child and its group. Also to one that is only just being stopped. */
  kill(): void {
    this.#killed = true
    this.#run?.group.signal('SIGKILL')
    for (const group of this.#leftovers) group.signal('SIGKILL')
  }

  /** Sends an event to the state machine; false if it changed nothing. */
  #send(event: ProcessEvent): boolean {
    const before = this.#state
    this.#state = transition(before, event)
    if (this.#state === before) return false
    this.#context.changed(this)
    return true
  }

  #launch(): void {
    if (!this.#send({ type: 'start' })) return
    const result = spawnChild(this.definition, this.#context.mark)
    if (result.type === 'failed') {
      this.#spawning = result.message.then((message) => this.#onSpawnFailure(message))
      return
    }
    this.#everSpawned = true
    const run = new ChildRun(this.definition, result.child, this.#context, {
      onReady: () => this.#onReady(),
      onUnhealthy: (reason) => this.#onUnhealthy(reason),
    })
    this.#run = run
    if (this.#startupTimer !== null) this.#recent.follow(run.lines)
    const attempt = this.#state.type === 'starting' ? this.#state.attempt : 0
    this.#send({ type: 'spawned', pid: run.child.pid })
    this.#context.emit({ type: 'process_started', process: this.name, pid: run.child.pid, attempt })
    run.watch()
    void this.#awaitExit(run)
  }

  #onSpawnFailure(message: string): void {
    this.#spawning = null
    this.#context.emit({ type: 'spawn_failed', process: this.name, message })
    if (this.#state.type !== 'starting') return
    if (!this.#everSpawned) {
      this.#clearTimers()
      this.#send({ type: 'spawn_failed', verdict: { type: 'failed', reason: message } })
      this.#context.couldNotStart(this, message)
      return
    }
    const verdict = verdictAfterSpawnFailure(this.#ended(0), message)
    this.#send({ type: 'spawn_failed', verdict })
    this.#follow(verdict, 0)
  }

  #onReady(): void {
    if (!this.#send({ type: 'probe_succeeded' })) return
    const since = this.#everReady ? (this.#run?.startedAt ?? this.#firstStartAt) : this.#firstStartAt
    this.#everReady = true
    this.#clearTimers()
    this.#recent.end()
    this.#context.emit({ type: 'process_ready', process: this.name, afterMs: elapsed(since) })
  }

  #onUnhealthy(reason: string): void {
    if (this.#send({ type: 'probe_failed', reason })) {
      this.#context.emit({ type: 'process_unhealthy', process: this.name, reason })
    }
  }

  async #awaitExit(run: ChildRun): Promise<void> {
    const exit = await run.exited
    const uptimeMs = elapsed(run.startedAt)
    await run.outputRead()
    // A stop that came meanwhile sees to the rest itself.
    if (this.#run !== run || this.#state.type === 'stopping' || isDown(this.#state)) return
    this.#run = null
    if (!run.group.isEmpty()) this.#leftovers.add(run.group)
    this.#context.emit({ type: 'process_exited', process: this.name, exit, uptimeMs })
    if (this.#context.endsAll(this, exit)) {
      this.#send({ type: 'exited', exit, verdict: { type: 'completed' } })
      this.#clearTimers()
      this.#context.endAll(this, exit)
      return
    }
    const verdict = verdictAfterExit(this.#ended(uptimeMs), exit)
    this.#send({ type: 'exited', exit, verdict })
    this.#follow(verdict, uptimeMs)
  }

  #ended(uptimeMs: number): Ended {
    const attempt = 'attempt' in this.#state ? this.#state.attempt : 0
    const { kind, restart } = this.definition
    return { kind, restart, attempt, uptimeMs, random: Math.random() }
  }

  /** Does and says what the verdict about an ended child asks for. */
  #follow(verdict: Verdict, uptimeMs: number): void {
    const process = this.name
    if (verdict.type === 'backoff') {
      const { attempt, waitMs } = verdict
      const { maxAttempts } = this.definition.restart
      this.#context.emit({ type: 'restart_scheduled', process, attempt, maxAttempts, waitMs })
      this.#scheduleRestart(waitMs)
      return
    }
    this.#clearTimers()
    if (verdict.type === 'completed') {
      this.#context.emit({ type: 'process_completed', process, afterMs: uptimeMs })
      return
    }
    const lastLines = this.#everReady ? [] : this.#recent.lines
    this.#context.emit({ type: 'process_failed', process, reason: verdict.reason, lastLines })
    void this.#clearLeftovers()
    this.#context.failed(this, verdict.reason)
  }

  /** The wait, and the end of what the last child left behind, whichever takes longer. */
  #scheduleRestart(waitMs: number): void {
    const restart = async () => {
      await this.#clearLeftovers()
      if (this.#state.type === 'backoff') this.#launch()
    }
    this.#restartTimer = setTimeout(() => void restart(), Math.min(waitMs, LONGEST_TIMER_MS))
    if (this.#leftovers.size > 0) void this.#clearLeftovers()
  }

  async #bringDown(): Promise<void> {
    const stoppedAt = performance.now()
    await this.#spawning
    const run = this.#run
    if (run !== null) {
      run.endWatch()
      await this.#empty(run.group, run.exited)
      const exit = await run.exited
      await run.outputRead()
      this.#run = null
      this.#send({ type: 'exited', exit, verdict: { type: 'completed' } })
    }
    await this.#clearLeftovers()
    this.#context.emit({ type: 'process_stopped', process: this.name, tookMs: elapsed(stoppedAt) })
    this.#send({ type: 'emptied' })
  }

  /** Ends what outlived its leader, such as what a task left in the background. */
  async #clearLeftovers(): Promise<void> {
    if (this.#leftovers.size === 0) return
    const clear = async () => {
      await Promise.all([...this.#leftovers].map((group) => this.#empty(group, null)))
      this.#clearing = null
      this.#context.changed(this)
    }
    this.#clearing ??= clear()
    await this.#clearing
  }

  async #empty(group: ProcessGroup, leaderExited: Promise<unknown> | null): Promise<void> {
    const process = this.name
    const { signal, timeoutMs } = this.definition.shutdown
    const since = performance.now()
    if (leaderExited !== null) this.#context.emit({ type: 'process_stopping', process, signal })
    const survivors = await group.terminate({
      signal: this.#killed ? 'SIGKILL' : signal,
      timeoutMs,
      leaderExited,
      onKill: () => this.#context.emit({ type: 'process_killed', process, afterMs: elapsed(since) }),
    })
    this.#leftovers.delete(group)
    if (survivors.length > 0) this.#context.emit({ type: 'process_survived', process, pids: survivors })
  }

  #armStartupTimer(): void {
    if (this.definition.readinessProbe === null || this.#everReady) return
    const ms = this.definition.startupTimeoutMs
    this.#startupTimer = setTimeout(() => this.#giveUp(), Math.min(ms, LONGEST_TIMER_MS))
  }

  #giveUp(): void {
    const reason = `not ready after ${this.definition.startupTimeoutMs} ms`
    this.#context.emit({ type: 'process_failed', process: this.name, reason, lastLines: this.#recent.lines })
    this.stop({ type: 'failed', reason })
    this.#context.gaveUp(this, reason)
  }

  #clearTimers(): void {
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer)
    if (this.#startupTimer !== null) clearTimeout(this.#startupTimer)
    this.#restartTimer = null
    this.#startupTimer = null
  }
}

function elapsed(since: number): number {
  return Math.round(performance.now() - since)
}
