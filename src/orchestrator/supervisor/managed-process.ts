import type { ResolvedProcess } from '../config/resolved.ts'
import { ChildRun } from './child-run.ts'
import type { ExitResult } from './events.ts'
import { Leftovers } from './orphans.ts'
import type { ProcessContext } from './process-context.ts'
import { emptyGroup, type Group } from './process-group.ts'
import { RestartHistory, verdictAfterExit, verdictAfterFailure } from './restart-policy.ts'
import { Startup } from './startup.ts'
import {
  INITIAL_STATE,
  isDown,
  transition,
  type ProcessEvent,
  type ProcessState,
  type StopOutcome,
  type Verdict,
} from './state.ts'
import { elapsed, Timer } from './timers.ts'

/** One process of the configuration through all its children: starts, watches, restarts and stops it. */
export class ManagedProcess {
  readonly definition: ResolvedProcess
  readonly #context: ProcessContext
  readonly #leftovers: Leftovers
  #state: ProcessState = INITIAL_STATE
  #run: ChildRun | null = null
  #spawning: Promise<void> | null = null
  readonly #restarts: RestartHistory
  /** What becomes of it when it is down, if it is stopped to be started again. */
  #verdict: Verdict | null = null
  #restartIsDue = false
  readonly #restartTimer = new Timer()
  readonly #startup: Startup
  #starts = 0
  #lastExit: ExitResult | null = null
  #killed = false

  constructor(definition: ResolvedProcess, context: ProcessContext) {
    this.definition = definition
    this.#context = context
    this.#startup = new Startup(definition, (reason) => this.#giveUp(reason))
    this.#restarts = new RestartHistory(definition)
    this.#leftovers = new Leftovers({
      empty: (group) => this.#empty(group, null),
      endEscaped: (children) => context.endEscaped(this, children),
      onEmpty: () => context.changed(this, this.#state),
    })
  }

  get name(): string {
    return this.definition.name
  }

  get state(): ProcessState {
    return this.#state
  }

  /** Of the child that runs, or whose end is awaited. */
  get pid(): number | null {
    return 'pid' in this.#state ? this.#state.pid : null
  }

  /** When that child was started, on the clock of `performance.now()`. */
  get startedAt(): number | null {
    return this.#run?.startedAt ?? null
  }

  /** Starts after the first one. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1)
  }

  /** How the last child that ended did. */
  get lastExit(): ExitResult | null {
    return this.#lastExit
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
    this.#startup.begin()
    this.#launch()
  }

  /** Starts it again, if its wait is over and nobody has to go down first. */
  restartIfDue(): void {
    if (this.#state.type !== 'backoff' || !this.#restartIsDue || !this.#context.mayRestart(this)) return
    this.#restartIsDue = false
    this.#launch()
  }

  /** Back to waiting, if it has ended; started at once, if it waits for a restart. */
  async revive(): Promise<void> {
    this.#send({ type: 'reset' })
    if (this.#state.type !== 'backoff') return
    this.#restartTimer.clear()
    await this.#leftovers.clearThen(() => this.#waitIsOver(), false)
  }

  skip(because: string): void {
    if (!this.#send({ type: 'skip', because })) return
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
    const mark = `${this.#context.mark}/${this.#starts + 1}`
    const result = this.#context.spawn(this.definition, mark)
    if (result.type === 'failed') {
      this.#spawning = result.message.then((message) => this.#onSpawnFailure(message))
      return
    }
    this.#starts++
    this.#leftovers.expect()
    const run = new ChildRun(
      this.definition,
      result.child,
      { output: this.#context.output, mark },
      {
        onReady: () => this.#onReady(),
        onUnhealthy: (reason) => this.#onUnhealthy(reason),
        onDead: (reason) => this.#onDead(reason),
      },
    )
    this.#run = run
    this.#startup.follow(run.lines)
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
    if (this.#starts === 0) {
      this.#clearTimers()
      this.#send({ type: 'spawn_failed', verdict: { type: 'failed', reason: message } })
      this.#context.couldNotStart(this, message)
      return
    }
    const verdict = verdictAfterFailure(this.#restarts.ended(this.#state, 0), message)
    this.#send({ type: 'spawn_failed', verdict })
    this.#follow(verdict, 0)
  }

  #onReady(): void {
    if (!this.#send({ type: 'probe_succeeded' })) return
    this.#clearTimers()
    const afterMs = this.#startup.succeed(this.startedAt)
    this.#context.emit({ type: 'process_ready', process: this.name, afterMs })
  }

  #onUnhealthy(reason: string): void {
    if (this.#send({ type: 'probe_failed', reason })) {
      this.#context.emit({ type: 'process_unhealthy', process: this.name, reason })
    }
  }

  #onDead(reason: string): void {
    if (this.#run === null || this.#state.type === 'stopping') return
    this.#context.emit({ type: 'liveness_failed', process: this.name, reason })
    const message = `failed its liveness probe: ${reason}`
    const verdict = verdictAfterFailure(this.#restarts.ended(this.#state, elapsed(this.#run.startedAt)), message)
    if (verdict.type === 'completed') return
    this.#verdict = verdict
    this.stop(verdict)
  }

  async #awaitExit(run: ChildRun): Promise<void> {
    const exit = await run.exited
    this.#lastExit = exit
    const uptimeMs = elapsed(run.startedAt)
    await run.outputRead()
    // A stop that came meanwhile sees to the rest itself.
    if (this.#run !== run || this.#state.type === 'stopping' || isDown(this.#state)) return
    this.#run = null
    this.#leftovers.add(run.group)
    this.#context.emit({ type: 'process_exited', process: this.name, exit, uptimeMs })
    const down = this.#context.staysDown(this, exit)
    if (down !== null) {
      this.#send({ type: 'exited', exit, verdict: { type: down } })
      this.#clearTimers()
      this.#context.wentDown(this, exit)
      return
    }
    const verdict = verdictAfterExit(this.#restarts.ended(this.#state, uptimeMs), exit)
    this.#send({ type: 'exited', exit, verdict })
    this.#follow(verdict, uptimeMs)
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
    this.#context.emit({ type: 'process_failed', process, reason: verdict.reason, lastLines: this.#startup.lastLines })
    void this.#leftovers.clear()
    this.#context.failed(this, verdict.reason)
  }

  /** The wait, and the end of what the last child left behind, whichever takes longer. */
  #scheduleRestart(waitMs: number): void {
    this.#restartIsDue = false
    this.#restartTimer.set(waitMs, () => void this.#leftovers.clearThen(() => this.#waitIsOver(), waitMs === 0))
    if (waitMs > 0) void this.#leftovers.clear()
  }

  #waitIsOver(): void {
    this.#restartIsDue = true
    this.restartIfDue()
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
      this.#send({ type: 'exited', exit, verdict: { type: 'stopped' } })
    }
    await this.#leftovers.clear()
    this.#context.emit({ type: 'process_stopped', process: this.name, tookMs: elapsed(stoppedAt) })
    this.#send({ type: 'emptied' })
    const verdict = this.#verdict
    this.#verdict = null
    if (verdict !== null && verdict.type === this.#state.type) this.#follow(verdict, 0)
  }

  #empty(group: Group, leaderExited: Promise<unknown> | null): Promise<void> {
    return emptyGroup(group, this.definition, this.#context, { leaderExited, isKilled: this.#killed })
  }

  #giveUp(reason: string): void {
    this.#context.emit({ type: 'process_failed', process: this.name, reason, lastLines: this.#startup.lastLines })
    this.stop({ type: 'failed', reason })
    this.#context.gaveUp(this, reason)
  }

  #clearTimers(): void {
    this.#restartTimer.clear()
    this.#startup.clear()
  }
}
