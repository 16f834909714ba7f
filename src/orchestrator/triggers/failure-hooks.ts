import type { ResolvedHook } from '../config/resolved.ts'
import { Timer } from '../supervisor/timers.ts'
import { type FailureReport, type HookOptions, runHook } from './on-failed.ts'

export interface FailureHookOptions extends HookOptions {
  /** Called for a hook that has failed. */
  readonly onProblem: (process: string, reason: string) => void
}

const MAX_RUNNING = 4
const MAX_WAITING = 100
/** The time that running and waiting hooks have when the orchestrator ends. */
const ENDING_MS = 10_000

interface Job {
  readonly hook: ResolvedHook
  readonly report: FailureReport
}

/** Runs the hooks of failures beside the supervision: at most four at a time, at most 100 waiting; further ones are dropped. */
export class FailureHooks {
  readonly #options: FailureHookOptions
  readonly #abort = new AbortController()
  readonly #waiting: Job[] = []
  readonly #running = new Set<Promise<void>>()

  constructor(options: FailureHookOptions) {
    this.#options = options
  }

  add(hook: ResolvedHook, report: FailureReport): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#options.onProblem(report.process, `not run, because ${MAX_WAITING} others wait`)
      return
    }
    this.#waiting.push({ hook, report })
    this.#startNext()
  }

  /** Resolves when all hooks have ended: after a time limit, or when `force` resolves, they are stopped. */
  async end(force: Promise<void>): Promise<void> {
    const timer = new Timer()
    timer.set(ENDING_MS, () => this.#stop())
    void force.then(() => this.#stop())
    while (this.#running.size > 0) await Promise.all(this.#running)
    timer.clear()
  }

  #stop(): void {
    this.#abort.abort()
    this.#waiting.length = 0
  }

  #startNext(): void {
    if (this.#running.size >= MAX_RUNNING) return
    const job = this.#waiting.shift()
    if (job === undefined) return
    const running = this.#run(job).finally(() => {
      this.#running.delete(running)
      this.#startNext()
    })
    this.#running.add(running)
  }

  async #run({ hook, report }: Job): Promise<void> {
    const problem = await runHook(hook, report, this.#options, this.#abort.signal)
    if (problem !== null) this.#options.onProblem(report.process, problem)
  }
}
