import { isDeepStrictEqual } from 'node:util'
import type { Cron } from 'croner'
import type { ResolvedConfig } from '../config/resolved.ts'
import type { SupervisorEvent } from '../supervisor/events.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import { FailureHooks } from './failure-hooks.ts'
import { limitMemory } from './memory-limit.ts'
import { runOnSchedule } from './schedule.ts'
import type { WatchListener } from './watch.ts'

export type TriggerTarget = Pick<Supervisor, 'graph' | 'triggered'>

/** One thing outside the processes that acts on them. */
interface Trigger {
  /** Unique within a configuration. */
  readonly key: string
  /** A reload keeps a trigger with equal settings. */
  readonly settings: unknown
  /** Runs until the signal is aborted. */
  start(signal: AbortSignal): void
}

interface Running {
  readonly settings: unknown
  readonly abort: AbortController
}

export interface TriggerOptions {
  /** Reports what the triggers do. */
  readonly emit: (event: SupervisorEvent) => void
  /** Prefix of the run tag of commands, by which the guard finds them; null without a guard. */
  readonly runTag: string | null
}

/** The time limit of a hook. */
const HOOK_TIMEOUT_MS = 30_000

/** Runs the triggers that the configuration uses, and follows its reloads. */
export class Triggers implements Disposable {
  readonly #target: TriggerTarget
  readonly #emit: (event: SupervisorEvent) => void
  readonly #running = new Map<string, Running>()
  readonly #jobs = new Map<string, Cron>()
  readonly #hooks: FailureHooks
  /** The processes that have failed since their last start. */
  readonly #failed = new Set<string>()
  #hasStarted = false

  constructor(target: TriggerTarget, { emit, runTag }: TriggerOptions) {
    this.#target = target
    this.#emit = emit
    this.#hooks = new FailureHooks({
      timeoutMs: HOOK_TIMEOUT_MS,
      runTag: runTag === null ? null : `${runTag}/on_failed/1`,
      onProblem: (process, reason) => emit({ type: 'trigger_failed', process, trigger: 'on_failed', reason }),
    })
  }

  start(): void {
    this.#hasStarted = true
    this.#apply()
  }

  /** Receives every event of the supervisor. */
  event(event: SupervisorEvent): void {
    if (event.type === 'process_started') this.#failed.delete(event.process)
    if (event.type === 'process_started' || event.type === 'spawn_failed') this.#onStart(event.process)
    if (event.type === 'process_failed') this.#onFailure(event.process, event.reason)
    if (event.type === 'reloaded' && this.#hasStarted) this.#apply()
    if (event.type !== 'stopping') return
    this[Symbol.dispose]()
    const { reason } = event
    if (reason.type === 'start_failed') this.#onFailure(reason.process, reason.message)
  }

  /** Returns the next time at which a task runs by its schedule; null if it has none or was stopped manually. */
  nextRun(name: string): Date | null {
    const managed = this.#target.graph.get(name)
    return managed?.goal.type === 'up' ? (this.#jobs.get(name)?.nextRun() ?? null) : null
  }

  /** Resolves when no trigger acts any more. Hooks have a time limit, and are stopped when `force` resolves. */
  async end(force: Promise<void>): Promise<void> {
    this[Symbol.dispose]()
    await this.#hooks.end(force)
  }

  /** A process that was left out and is started by a command has its schedule and its watch from then on. */
  #onStart(name: string): void {
    const definition = this.#target.graph.get(name)?.definition
    if (definition === undefined || definition.leftOut === null) return
    const hasTrigger = definition.schedule !== null || definition.watch !== null
    if (hasTrigger && this.#hasStarted) this.#apply()
  }

  #onFailure(name: string, reason: string): void {
    const { graph } = this.#target
    const definition = graph.get(name)?.definition
    if (definition === undefined || definition.onFailed === null || this.#failed.has(name)) return
    this.#failed.add(name)
    const { env, secretNames } = definition
    this.#hooks.add(definition.onFailed, { process: name, reason, config: graph.config.path, env, secretNames })
  }

  [Symbol.dispose](): void {
    this.#hasStarted = false
    for (const { abort } of this.#running.values()) abort.abort()
    this.#running.clear()
  }

  /** Ends the triggers that the configuration no longer has, and starts new ones. */
  #apply(): void {
    const wanted = new Map(this.#triggersOf(this.#target.graph.config).map((trigger) => [trigger.key, trigger]))
    for (const [key, { settings, abort }] of this.#running) {
      if (isDeepStrictEqual(wanted.get(key)?.settings, settings)) continue
      abort.abort()
      this.#running.delete(key)
    }
    for (const trigger of wanted.values()) {
      if (this.#running.has(trigger.key)) continue
      const abort = new AbortController()
      this.#running.set(trigger.key, { settings: trigger.settings, abort })
      trigger.start(abort.signal)
    }
  }

  #triggersOf(config: ResolvedConfig): readonly Trigger[] {
    return [...this.#watches(config), ...this.#schedules(config), ...this.#memoryLimits(config)]
  }

  /** Returns whether a process was left out and has not been started. */
  #isDisabled(name: string): boolean {
    return this.#target.graph.get(name)?.state.type === 'disabled'
  }

  #schedules({ processes }: ResolvedConfig): readonly Trigger[] {
    return processes.flatMap(({ name, schedule }) =>
      schedule === null || this.#isDisabled(name)
        ? []
        : [
            {
              key: `schedule ${name}`,
              settings: schedule,
              start: (signal) => void this.#schedule(name, schedule, signal),
            },
          ],
    )
  }

  /** Returns one trigger for all limits, so that one scan of the process table serves all of them. */
  #memoryLimits({ processes }: ResolvedConfig): readonly Trigger[] {
    if (processes.every(({ memoryLimit }) => memoryLimit === null)) return []
    return [{ key: 'memory_limit', settings: null, start: (signal) => limitMemory(this.#target, signal) }]
  }

  async #schedule(name: string, expression: string, signal: AbortSignal): Promise<void> {
    let hasReported = false
    const onTime = () => {
      const isDone = this.#target.triggered.startScheduled(name)
      if (!isDone && !hasReported) this.#emit({ type: 'run_skipped', process: name })
      hasReported = !isDone
    }
    const job = await runOnSchedule(expression, onTime, signal)
    if (signal.aborted) return
    this.#jobs.set(name, job)
    signal.addEventListener('abort', () => this.#jobs.delete(name))
    const next = job.nextRun()
    if (next !== null) this.#emit({ type: 'next_run', process: name, at: next.toISOString() })
  }

  /** Returns a trigger for each process of the file that runs and watches; its replicas restart together. */
  #watches({ processes }: ResolvedConfig): readonly Trigger[] {
    const ownFiles = processes.flatMap(({ log }) => (log.file === null ? [] : [log.file.path]))
    const watching = new Map(
      processes.flatMap(({ name, configName, watch }) =>
        watch === null || this.#isDisabled(name) ? [] : [[configName, watch]],
      ),
    )
    return Array.from(watching, ([name, watch]) => ({
      key: `watch ${name}`,
      settings: { watch, ownFiles },
      start: (signal) => {
        const listener: WatchListener = {
          onChange: (because: string) =>
            this.#target.triggered.restart(this.#target.graph.instancesNamed(name), because),
          onReady: () => this.#emit({ type: 'watching', process: name, paths: watch.paths }),
          onProblem: (reason: string) =>
            this.#emit({ type: 'trigger_failed', process: name, trigger: 'watch', reason }),
        }
        // Loaded late, because most configurations watch nothing.
        void import('./watch.ts').then(({ watchFiles }) => watchFiles(watch, ownFiles, listener, signal))
      },
    }))
  }
}
