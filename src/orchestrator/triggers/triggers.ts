import { isDeepStrictEqual } from 'node:util'
import type { Cron } from 'croner'
import type { ResolvedConfig } from '../config/resolved.ts'
import type { SupervisorEvent } from '../supervisor/events.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import { runOnSchedule } from './schedule.ts'
import { watchFiles } from './watch.ts'

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

/** Runs the triggers that the configuration uses, and follows its reloads. */
export class Triggers implements Disposable {
  readonly #target: TriggerTarget
  readonly #emit: (event: SupervisorEvent) => void
  readonly #running = new Map<string, Running>()
  readonly #jobs = new Map<string, Cron>()
  #hasStarted = false

  /** `emit` reports what the triggers do. */
  constructor(target: TriggerTarget, emit: (event: SupervisorEvent) => void) {
    this.#target = target
    this.#emit = emit
  }

  start(): void {
    this.#hasStarted = true
    this.#apply()
  }

  /** Receives every event of the supervisor. */
  event(event: SupervisorEvent): void {
    if (event.type === 'stopping') this[Symbol.dispose]()
    else if (event.type === 'reloaded' && this.#hasStarted) this.#apply()
  }

  /** Returns the next time at which a task runs by its schedule; null if it has none or was stopped manually. */
  nextRun(name: string): Date | null {
    const managed = this.#target.graph.get(name)
    return managed?.goal.type === 'up' ? (this.#jobs.get(name)?.nextRun() ?? null) : null
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
    return [...this.#watches(config), ...this.#schedules(config)]
  }

  #schedules({ processes }: ResolvedConfig): readonly Trigger[] {
    return processes.flatMap(({ name, schedule, leftOut }) =>
      schedule === null || leftOut !== null
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

  /** Returns a trigger for each process of the file that watches; its replicas restart together. */
  #watches({ processes }: ResolvedConfig): readonly Trigger[] {
    const ownFiles = processes.flatMap(({ log }) => (log.file === null ? [] : [log.file.path]))
    const watching = new Map(processes.flatMap((one) => (one.watch === null ? [] : [[one.configName, one.watch]])))
    return Array.from(watching, ([name, watch]) => ({
      key: `watch ${name}`,
      settings: { watch, ownFiles },
      start: (signal) => {
        const listener = {
          onChange: (because: string) =>
            this.#target.triggered.restart(this.#target.graph.instancesNamed(name), because),
          onReady: () => this.#emit({ type: 'watching', process: name, paths: watch.paths }),
          onProblem: (reason: string) =>
            this.#emit({ type: 'trigger_failed', process: name, trigger: 'watch', reason }),
        }
        void watchFiles(watch, ownFiles, listener, signal)
      },
    }))
  }
}
