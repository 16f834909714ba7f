import { DEFAULT_LIMITS, EvaluationScheduler } from '../../../src/codecs/pool/evaluation-scheduler.ts'
import type { Job, Task, TaskResult } from '../../../src/codecs/pool/evaluation-scheduler.ts'
import type { Lane } from '../../../src/codecs/pool/flow.ts'
import { celCodec } from './cel-codec.ts'

/** The time in ms until a stopped worker is replaced. */
const RESTART_MS = 250

/** A task of a device whose evaluation takes `costMs`. */
export interface CostedTask extends Task {
  readonly costMs: number
}

export interface Served {
  readonly task: CostedTask
  readonly lane: Lane
  /** Virtual time at the end of its evaluation. */
  readonly atMs: number
  /** Time for which it occupied a worker; less than its cost if it was stopped. */
  readonly ranMs: number
}

export function costedTask(organizationId: string, source: string, costMs: number): CostedTask {
  return { organizationId, codec: celCodec(source), costMs, payload: new Uint8Array(1) }
}

/** One quick and one background worker that evaluate the tasks of a scheduler in virtual time. */
export class VirtualWorkers {
  readonly scheduler = new EvaluationScheduler<CostedTask>()
  readonly served: Served[] = []
  /** Results of tasks that were not evaluated. */
  readonly unserved = new Map<CostedTask, TaskResult>()
  stops = 0
  readonly #times = { quick: 0, background: 0 }

  /** The virtual time of the worker that is behind. */
  get nowMs(): number {
    return Math.min(this.#times.quick, this.#times.background)
  }

  submit(task: CostedTask): void {
    const result = this.scheduler.submit(task, this.nowMs)
    if (result !== undefined) this.unserved.set(task, result)
  }

  /** Runs the next job of the worker that is behind, else of the other; returns false if there is none. */
  step(): boolean {
    const { quick, background } = this.#times
    const lanes = quick <= background ? (['quick', 'background'] as const) : (['background', 'quick'] as const)
    for (const lane of lanes) {
      // The job of an idle worker starts now.
      const startMs = Math.max(this.#times[lane], this.nowMs)
      const job = this.scheduler.next(lane)
      if (job === undefined) continue
      this.#times[lane] = startMs
      this.#run(lane, job)
      return true
    }
    return false
  }

  /** Runs all queued tasks. */
  drain(): void {
    while (this.step());
  }

  /** Moves an idle worker's time to that of the other one. */
  synchronize(): void {
    this.#times.quick = this.#times.background = Math.max(this.#times.quick, this.#times.background)
  }

  #run(lane: Lane, job: Job<CostedTask>): void {
    const { slowMs, timeLimitMs } = DEFAULT_LIMITS
    const durations: number[] = []
    let totalMs = 0
    for (const [index, task] of job.tasks.entries()) {
      const ranMs = Math.min(task.costMs, timeLimitMs)
      this.#times[lane] += ranMs
      this.served.push({ task, lane, atMs: this.#times[lane], ranMs })
      if (task.costMs > timeLimitMs) {
        this.stops++
        this.#times[lane] += RESTART_MS
        this.#settle(this.scheduler.workerLost(job, index, 'time', this.#times[lane]))
        return
      }
      durations.push(task.costMs)
      totalMs += task.costMs
      if (totalMs > slowMs) break
    }
    this.#settle(this.scheduler.finished(job, durations, this.#times[lane]))
  }

  #settle(results: ReadonlyMap<CostedTask, TaskResult>): void {
    for (const [task, result] of results) this.unserved.set(task, result)
  }
}
