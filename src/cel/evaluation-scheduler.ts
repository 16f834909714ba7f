import { DeviceRecords } from './device-records.ts'
import { FairQueue } from './fair-queue.ts'
import type { Evaluation } from './worker-protocol.ts'

/** A payload to evaluate. */
export interface Task {
  /** The device. Devices are served in turn, and the cost of a device's expression affects only that device. */
  readonly key: string
  readonly source: string
  readonly payload: Uint8Array
}

/** `new`: the cost of the device's expression is not known yet. */
export type Lane = 'quick' | 'new' | 'slow'

/** A `quick` worker serves only the quick lane, a `background` worker the slow and the new lane. */
export type WorkerKind = 'quick' | 'background'

/** A batch for one worker. A job of the slow lane has one task. */
export interface Job<T extends Task> {
  readonly lane: Lane
  readonly tasks: readonly T[]
}

/** The reason a worker was lost during a job. */
export type WorkerFailure = 'time' | 'memory' | 'crash'

export type TaskResult =
  | Evaluation
  /** The task was not evaluated because a queue is full; retry later. */
  | { readonly ok: false; readonly reason: string; readonly overloaded: true }

export const DEFAULT_LIMITS = {
  /** Queued tasks of the quick and the new lane. */
  maxQueued: 50_000,
  /** Queued payload bytes of all lanes. */
  maxQueuedBytes: 256 * 1024 * 1024,
  maxJobTasks: 64,
  maxJobBytes: 4 * 1024 * 1024,
  /** An evaluation that takes longer moves its device to the slow lane. */
  slowMs: 10,
  /** The limit of expected work queued in the slow lane, above which each device can queue only one task. */
  maxSlowBacklogMs: 1000,
  maxSlowQueued: 64,
  /** Time limit of one evaluation. */
  timeLimitMs: 250,
  /** Consecutive failures after which an expression is quarantined. */
  failuresToQuarantine: 3,
  quarantineMs: 30_000,
  /** The minimum time in the slow lane after a failure, even if the evaluations are quick. */
  probationMs: 60_000,
}

export type SchedulerLimits = Readonly<Record<keyof typeof DEFAULT_LIMITS, number>>

/**
 * Determines the next tasks, and the task responsible for a lost worker. Pure: the pool owns time and workers.
 *
 * Quick devices share jobs; new devices share jobs with other new devices only. When a worker is lost, the task that ran is the
 * suspect: it is retried once, alone, in the slow lane, to rule out a stalled machine; the second time it fails. The other tasks
 * of its job return to the front of their queues.
 */
export class EvaluationScheduler<T extends Task> {
  readonly #limits: SchedulerLimits
  readonly #queues = { quick: new FairQueue<T>(), new: new FairQueue<T>(), slow: new FairQueue<T>() } as const
  /** The lane, slow or new, whose turn is next. */
  #turn: 'slow' | 'new' = 'slow'
  readonly #records: DeviceRecords
  readonly #suspects = new WeakSet<T>()
  /** Expected cost of each task of the slow lane when it was queued. */
  readonly #slowCosts = new Map<T, number>()
  #queuedBytes = 0
  #slowBacklogMs = 0

  constructor(limits: SchedulerLimits = DEFAULT_LIMITS) {
    this.#limits = limits
    this.#records = new DeviceRecords(limits)
  }

  get queued(): Readonly<Record<'quick' | 'slow', number>> {
    return { quick: this.#quickQueued, slow: this.#queues.slow.size }
  }

  get #quickQueued(): number {
    return this.#queues.quick.size + this.#queues.new.size
  }

  /** Queues a task, or returns its result immediately if it cannot be evaluated. */
  submit(task: T, now: number): TaskResult | undefined {
    const { maxQueued, maxQueuedBytes, maxSlowQueued, maxSlowBacklogMs } = this.#limits
    const quarantinedUntil = this.#records.quarantinedUntil(task, now)
    if (quarantinedUntil !== undefined) return { ok: false, reason: quarantineReason(quarantinedUntil) }
    const costMs = this.#records.expectedSlowMs(task)
    if (costMs === undefined) {
      if (this.#quickQueued >= maxQueued || this.#queuedBytes + task.payload.length > maxQueuedBytes)
        return overloaded('the evaluation queue is full')
      this.#enqueue(this.#records.isQuick(task) ? 'quick' : 'new', task)
      return undefined
    }
    const { slow } = this.#queues
    const exceedsBacklog = this.#slowBacklogMs + costMs > maxSlowBacklogMs && slow.sizeOf(task.key) > 0
    if (exceedsBacklog || slow.size >= maxSlowQueued)
      return overloaded(
        `one evaluation of the expression takes about ${Math.ceil(costMs)} ms and messages arrive faster`,
      )
    this.#enqueue('slow', task)
    return undefined
  }

  /** Returns the next job for a worker of this kind; undefined if there is none. */
  next(kind: WorkerKind): Job<T> | undefined {
    if (kind === 'quick') return this.#jobOf('quick')
    const other = this.#turn === 'slow' ? 'new' : 'slow'
    const job = this.#jobOf(this.#turn) ?? this.#jobOf(other)
    if (job !== undefined) this.#turn = job.lane === 'slow' ? 'new' : 'slow'
    return job
  }

  #jobOf(lane: Lane): Job<T> | undefined {
    const tasks: T[] = []
    const maxTasks = lane === 'slow' ? 1 : this.#limits.maxJobTasks
    for (let bytes = 0; tasks.length < maxTasks && bytes < this.#limits.maxJobBytes;) {
      const task = this.#queues[lane].take()
      if (task === undefined) break
      this.#dequeued(task)
      tasks.push(task)
      bytes += task.payload.length
    }
    return tasks.length === 0 ? undefined : { lane, tasks }
  }

  /**
   * Records the end of a job, which ends no later than with its first slow task: tasks from `answered` on are queued again.
   * `slow` has the duration of each task, by index, that took longer than `slowMs`. Returns the results of queued tasks that
   * must no longer be evaluated.
   */
  finished(job: Job<T>, answered: number, slow: ReadonlyMap<number, number>, now: number): ReadonlyMap<T, TaskResult> {
    const results = new Map<T, TaskResult>()
    const changed = new Set<string>()
    for (const task of job.tasks.slice(answered).toReversed()) this.#enqueue(job.lane, task, true)
    let index = 0
    for (const task of job.tasks.slice(0, answered)) {
      const slowMs = slow.get(index++)
      this.#records.recordDuration(task, slowMs, now)
      if (slowMs !== undefined || job.lane !== 'quick') changed.add(task.key)
    }
    for (const key of changed) this.#requeue(key, now, results)
    return results
  }

  /**
   * Records that a worker was lost while it ran the task at `index`. Tasks before `answered` have their result; the others are
   * queued again, except those whose result is returned.
   */
  workerLost(
    job: Job<T>,
    answered: number,
    index: number,
    failure: WorkerFailure,
    now: number,
  ): ReadonlyMap<T, TaskResult> {
    const results = new Map<T, TaskResult>()
    const open = [...job.tasks.entries()].slice(answered)
    for (const [at, task] of open.toReversed()) {
      if (at !== index) this.#enqueue(job.lane, task, true)
      else if (this.#suspects.has(task)) {
        this.#records.recordFailure(task, now)
        results.set(task, { ok: false, reason: this.#failureReason(failure) })
      } else {
        this.#suspects.add(task)
        this.#records.recordSuspicion(task)
        this.#enqueue('slow', task, true)
      }
    }
    const suspect = job.tasks[index]
    if (suspect !== undefined) this.#requeue(suspect.key, now, results)
    return results
  }

  /** Moves the queued tasks of a device to the lane that its record now requires. */
  #requeue(key: string, now: number, results: Map<T, TaskResult>): void {
    const { quick, new: fresh, slow } = this.#queues
    for (const task of [...slow.remove(key), ...quick.remove(key), ...fresh.remove(key)]) {
      this.#dequeued(task)
      const result = this.submit(task, now)
      if (result !== undefined) results.set(task, result)
    }
  }

  #failureReason(failure: WorkerFailure): string {
    const causes: Readonly<Record<WorkerFailure, string>> = {
      time: `exceeded its time limit of ${this.#limits.timeLimitMs} ms`,
      memory: 'exceeded its memory limit',
      crash: 'crashed its worker thread',
    }
    return `the expression ${causes[failure]} twice and was stopped; simplify it with fewer or smaller macros`
  }

  #enqueue(lane: Lane, task: T, atFront = false): void {
    if (atFront) this.#queues[lane].unshift(task.key, task)
    else this.#queues[lane].push(task.key, task)
    this.#queuedBytes += task.payload.length
    if (lane !== 'slow') return
    const costMs = this.#records.expectedSlowMs(task) ?? 0
    this.#slowCosts.set(task, costMs)
    this.#slowBacklogMs += costMs
  }

  #dequeued(task: T): void {
    this.#queuedBytes -= task.payload.length
    this.#slowBacklogMs -= this.#slowCosts.get(task) ?? 0
    this.#slowCosts.delete(task)
  }
}

function overloaded(reason: string): TaskResult {
  return { ok: false, overloaded: true, reason }
}

function quarantineReason(until: number): string {
  return (
    `the expression was stopped repeatedly and is quarantined until ${new Date(until).toISOString()}; ` +
    'simplify it: a changed expression is evaluated immediately'
  )
}
