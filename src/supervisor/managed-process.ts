import { RestartHistory, verdictAfterExit, verdictAfterFailure, type Ended } from './backoff.ts'
import { ChildRun } from './child-run.ts'
import type { ResolvedProcess } from './config/resolved.ts'
import { RecentLines } from './output/recent-lines.ts'
import { Leftovers } from './leftovers.ts'
import type { ProcessContext } from './process-context.ts'
import type { Group } from './process-group.ts'
import { LONGEST_TIMER_MS } from './sleep.ts'
import {
  INITIAL_STATE,
  isDown,
  transition,
  type ProcessEvent,
  type ProcessState,
  type StopOutcome,
  type Verdict,
} from './state.ts'

/** One process of the configuration through all its children: starts, watches, restarts and stops it. */
export class ManagedProcess {
  readonly definition: ResolvedProcess
  readonly #context: ProcessContext
  readonly #leftovers: Leftovers
  readonly #recent = new RecentLines()
  #state: ProcessState = INITIAL_STATE
  #run: ChildRun | null = null
  #spawning: Promise<void> | null = null
  readonly #restarts: RestartHistory
  /** What becomes of it when it is down, if it is stopped to be started again. */
  #verdict: Verdict | null = null
  #restartIsDue = false
  #restartTimer: NodeJS.Timeout | null = null
  #startupTimer: NodeJS.Timeout | null = null
  #everSpawned = false
  #everReady = false
  #firstStartAt = 0
  #killed = false

  constructor(definition: ResolvedProcess, context: ProcessContext) {
    this.definition = definition
    this.#context = context
    this.#restarts = new RestartHistory(definition.restart)
    this.#leftovers = new Leftovers(
      (group) => this.#empty(group, null),
      () => context.changed(this, this.#state),
    )
  }

  get name(): string {
    return this.definition.name
  }

  get state(): ProcessState {
    return this.#state
  }

  /** Nothing of it runs, and nothing that a child of it left behind. */
  get isQuiet(): boolean {
    return isDown(this.#state) && this.#leftovers.isEmpty
  }

  /** Ids of the process groups that may have members. */
  get groups(): readonly number[] {
    const { groups } = this.#leftovers
    return (this.#run === null ? groups : [this.#run.group, ...groups]).map((group) => group.id)
  }

  /** Starts it, if it waits. */
  start(): void {
    if (this.#state.type !== 'waiting') return
    this.#firstStartAt = performance.now()
    this.#armStartupTimer()
    this.#launch()
  }

  /** Starts it again, if its wait is over and nobody has to go down first. */
  restartIfDue(): void {
    if (this.#state.type !== 'backoff' || !this.#restartIsDue || !this.#context.mayRestart(this)) return
    this.#restartIsDue = false
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
    } else void this.#leftovers.clear()
  }

  /** SIGKILL, now, to the child and its group. Also to one that is only just being stopped. */
  kill(): void {
    this.#killed = true
    this.#run?.group.signal('SIGKILL')
    for (const group of this.#leftovers.groups) group.signal('SIGKILL')
  }

  /** Sends an event to the state machine; false if it changed nothing. */
  #send(event: ProcessEvent): boolean {
    const before = this.#state
    this.#state = transition(before, event)
    if (this.#state === before) return false
    this.#context.changed(this, before)
    return true
  }

  #launch(): void {
    if (!this.#send({ type: 'start' })) return
    const result = this.#context.spawn(this.definition, this.#context.mark)
    if (result.type === 'failed') {
      this.#spawning = result.message.then((message) => this.#onSpawnFailure(message))
      return
    }
    this.#everSpawned = true
    const run = new ChildRun(this.definition, result.child, this.#context, {
      onReady: () => this.#onReady(),
      onUnhealthy: (reason) => this.#onUnhealthy(reason),
      onDead: (reason) => this.#onDead(reason),
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
    const verdict = verdictAfterFailure(this.#ended(0), message)
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

  #onDead(reason: string): void {
    if (this.#run === null || this.#state.type === 'stopping') return
    this.#context.emit({ type: 'liveness_failed', process: this.name, reason })
    const verdict = verdictAfterFailure(
      this.#ended(elapsed(this.#run.startedAt)),
      `failed its liveness probe: ${reason}`,
    )
    if (verdict.type === 'completed') return
    this.#verdict = verdict
    this.stop(verdict)
  }

  async #awaitExit(run: ChildRun): Promise<void> {
    const exit = await run.exited
    const uptimeMs = elapsed(run.startedAt)
    await run.outputRead()
    // A stop that came meanwhile sees to the rest itself.
    if (this.#run !== run || this.#state.type === 'stopping' || isDown(this.#state)) return
    this.#run = null
    this.#leftovers.add(run.group)
    this.#context.emit({ type: 'process_exited', process: this.name, exit, uptimeMs })
    if (this.#context.staysDown(this, exit)) {
      this.#send({ type: 'exited', exit, verdict: { type: 'completed' } })
      this.#clearTimers()
      this.#context.wentDown(this, exit)
      return
    }
    const verdict = verdictAfterExit(this.#ended(uptimeMs), exit)
    this.#send({ type: 'exited', exit, verdict })
    this.#follow(verdict, uptimeMs)
  }

  #ended(uptimeMs: number): Ended {
    const attempt = 'attempt' in this.#state ? this.#state.attempt : 0
    const { kind, restart } = this.definition
    const recentRestarts = this.#restarts.recent(performance.now())
    return { kind, restart, attempt, recentRestarts, uptimeMs, random: Math.random() }
  }

  /** Does and says what the verdict about an ended child asks for. */
  #follow(verdict: Verdict, uptimeMs: number): void {
    const process = this.name
    if (verdict.type === 'backoff') {
      const { attempt, waitMs } = verdict
      const { maxAttempts } = this.definition.restart
      this.#restarts.add(performance.now())
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
    void this.#leftovers.clear()
    this.#context.failed(this, verdict.reason)
  }

  /** The wait, and the end of what the last child left behind, whichever takes longer. */
  #scheduleRestart(waitMs: number): void {
    const restart = async () => {
      await this.#leftovers.clear()
      this.#restartIsDue = true
      this.restartIfDue()
    }
    this.#restartIsDue = false
    this.#restartTimer = setTimeout(() => void restart(), Math.min(waitMs, LONGEST_TIMER_MS))
    void this.#leftovers.clear()
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
    await this.#leftovers.clear()
    this.#context.emit({ type: 'process_stopped', process: this.name, tookMs: elapsed(stoppedAt) })
    this.#send({ type: 'emptied' })
    const verdict = this.#verdict
    this.#verdict = null
    if (verdict !== null && verdict.type === this.#state.type) this.#follow(verdict, 0)
  }

  async #empty(group: Group, leaderExited: Promise<unknown> | null): Promise<void> {
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
