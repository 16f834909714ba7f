import type { Codec } from '../../domain/codecs/codec.ts'
import { FairShare, type Load } from './fair-share.ts'
import { FlowRegistry } from './flow-registry.ts'
import type { Quarantine } from './expression-history.ts'
import { sizeOf, type Flow, type Lane } from './flow.ts'
import type { EnvelopeContext, Evaluation } from '../evaluation.ts'

/** A payload to evaluate. */
export interface Task {
  readonly organizationId: string
  readonly codec: Codec
  readonly payload: Uint8Array
  /** The envelope of the payload; without it, its variables have their defaults. */
  readonly context?: EnvelopeContext | undefined
  /** True: loads the codec instead of decoding the payload; the result has no data. */
  readonly checkOnly?: boolean | undefined
}

/** A batch for one worker, which ends it early if it takes too long. */
export interface Job<T extends Task> {
  readonly lane: Lane
  readonly tasks: readonly T[]
  /** For each task the flow of its expression. */
  readonly flows: readonly Flow<T>[]
}

/** The reason a worker was lost during a job. */
export type WorkerFailure = 'time' | 'memory' | 'crash'

export type TaskResult =
  | Evaluation
  /** The task was not evaluated, because the share of its expression is full; submit it again later. */
  | { readonly ok: false; readonly deferred: true }

export const DEFAULT_LIMITS = {
  /** Queued tasks of a lane, their payload bytes, and the expected time of their evaluation (see FairShare.fits). */
  maxQueued: 50_000,
  maxQueuedBytes: 256 * 1024 * 1024,
  maxQueuedMs: 8000,
  maxJobTasks: 64,
  maxJobBytes: 4 * 1024 * 1024,
  /** An evaluation that takes longer is slow. A job is planned for less, and ends with the evaluation that exceeds it in total. */
  slowMs: 10,
  /** The part of the time that the slow evaluations of an expression may take in the quick lane. */
  slowShare: 0.01,
  /** The maximum time for which an expression is considered slow after an evaluation. */
  maxSlowMs: 600_000,
  /** Time limit of one evaluation. */
  timeLimitMs: 250,
  /** Consecutive failures after which an expression is quarantined. */
  failuresToQuarantine: 3,
  quarantineMs: 30_000,
}

export type SchedulerLimits = Readonly<Record<keyof typeof DEFAULT_LIMITS, number>>

/**
 * Determines the next tasks, and the task responsible for a lost worker. Pure: the pool owns time and workers.
 *
 * The time of a lane's workers is shared by organizations and, within an organization, by expressions (see FairShare). What is known
 * about an expression belongs to the organization and the source. When a worker is lost, the task that ran is the suspect: it is
 * retried once, alone, in the background lane, to rule out a stalled machine; the second time it fails. The other tasks of its job
 * return to the front of their queues. A full share defers only the tasks of its expression.
 */
export class EvaluationScheduler<T extends Task> {
  readonly #limits: SchedulerLimits
  readonly #lanes = { quick: new FairShare<Flow<T>>(), background: new FairShare<Flow<T>>() } as const
  readonly #flows: FlowRegistry<T>
  readonly #capacity: Load
  readonly #suspects = new WeakSet<T>()

  constructor(limits: SchedulerLimits = DEFAULT_LIMITS) {
    this.#limits = limits
    this.#flows = new FlowRegistry(limits, this.#lanes)
    this.#capacity = { tasks: limits.maxQueued, bytes: limits.maxQueuedBytes, ms: limits.maxQueuedMs }
  }

  /** The number of queued tasks. */
  get queued(): Readonly<Record<Lane, number>> {
    return { quick: this.#lanes.quick.load.tasks, background: this.#lanes.background.load.tasks }
  }

  /** Queues a task, or returns its result immediately if it is not evaluated. */
  submit(task: T, now: number): TaskResult | undefined {
    const flow = this.#flows.find(task.organizationId, task.codec)
    flow.update(now)
    return this.#submit(flow, task, now)
  }

  #submit(flow: Flow<T>, task: T, now: number): TaskResult | undefined {
    const quarantine = flow.history.quarantine(now)
    if (quarantine !== undefined) return { ok: false, reason: quarantineReason(quarantine) }
    // A suspect keeps its place: after a deferral it would be retried without end.
    if (!flow.hasRoom(this.#capacity, task) && !this.#suspects.has(task)) return { ok: false, deferred: true }
    flow.push(task)
    return undefined
  }

  /** Returns the next job for a worker of this lane; undefined if there is none. */
  next(lane: Lane): Job<T> | undefined {
    const { maxJobTasks, maxJobBytes, slowMs } = this.#limits
    const tasks: T[] = []
    const flows: Flow<T>[] = []
    let ms = 0
    for (let bytes = 0; tasks.length < maxJobTasks && bytes < maxJobBytes;) {
      const flow = this.#lanes[lane].next()
      const task = flow?.peek()
      if (flow === undefined || task === undefined) break
      const isSuspect = this.#suspects.has(task)
      ms += flow.expectedMs
      if (tasks.length > 0 && (isSuspect || ms > slowMs)) break
      flow.take()
      tasks.push(task)
      flows.push(flow)
      bytes += sizeOf(task)
      if (isSuspect) break
    }
    return tasks.length === 0 ? undefined : { lane, tasks, flows }
  }

  /**
   * Records the end of a job. `durations` has those of the evaluated tasks in ms; the other tasks are queued again. Of `evaluations`
   * only the exceeded limits matter. Returns the results of queued tasks that must no longer be evaluated.
   */
  finished(
    job: Job<T>,
    durations: readonly number[],
    now: number,
    evaluations: readonly Evaluation[] = [],
  ): ReadonlyMap<T, TaskResult> {
    this.#recordDurations(job, durations, now, evaluations)
    this.#putBack(job, durations.length, job.tasks.length)
    return this.#review(job, now)
  }

  /**
   * Records that a worker was lost while it ran the task at `index`. The tasks of the job are queued again, except those whose result
   * is returned.
   */
  workerLost(job: Job<T>, index: number, failure: WorkerFailure, now: number): ReadonlyMap<T, TaskResult> {
    const [task, flow] = [job.tasks[index], job.flows[index]]
    if (task === undefined || flow === undefined) return this.finished(job, [], now)
    // The worker is replaced, which takes about as long.
    flow.charge(2 * this.#limits.timeLimitMs)
    const failed = this.#suspects.has(task)
    this.#putBack(job, index + 1, job.tasks.length)
    const reason = this.#failureReason(task.codec, failure)
    if (failed) flow.history.recordFailure(reason, now)
    else {
      this.#suspects.add(task)
      flow.history.recordLoss(now)
      flow.unshift(task)
    }
    this.#putBack(job, 0, index)
    const results = this.#review(job, now)
    if (failed) results.set(task, { ok: false, reason })
    return results
  }

  #recordDurations(
    { flows }: Job<T>,
    durations: readonly number[],
    now: number,
    evaluations: readonly Evaluation[],
  ): void {
    for (let index = 0; index < durations.length; index++) {
      const [flow, ms, evaluation] = [flows[index], durations[index], evaluations[index]]
      if (flow === undefined || ms === undefined) return
      if (evaluation?.ok === false && evaluation.exceeded !== undefined)
        flow.history.recordFailure(evaluation.reason, now, ms)
      else flow.history.recordDuration(ms, now)
      flow.charge(ms)
    }
  }

  /** Returns tasks of a job to the front of their queues. */
  #putBack({ tasks, flows }: Job<T>, from: number, to: number): void {
    for (let index = to - 1; index >= from; index--) {
      const task = tasks[index]
      if (task !== undefined) flows[index]?.unshift(task)
    }
  }

  /** Applies what the job showed to the queued tasks of its expressions. Returns the results of tasks that are not evaluated. */
  #review({ flows }: Job<T>, now: number): Map<T, TaskResult> {
    const results = new Map<T, TaskResult>()
    let last: Flow<T> | undefined
    for (const flow of flows) {
      if (flow === last) continue
      last = flow
      flow.update(now)
      if (flow.history.quarantine(now) !== undefined || !flow.hasRoom(this.#capacity))
        this.#resubmit(flow, now, results)
    }
    return results
  }

  #resubmit(flow: Flow<T>, now: number, results: Map<T, TaskResult>): void {
    const tasks: T[] = []
    for (let task = flow.take(); task !== undefined; task = flow.take()) tasks.push(task)
    for (const task of tasks) {
      const result = this.#submit(flow, task, now)
      if (result !== undefined) results.set(task, result)
    }
  }

  #failureReason({ kind }: Codec, failure: WorkerFailure): string {
    const causes: Readonly<Record<WorkerFailure, string>> = {
      time: `exceeded its time limit of ${this.#limits.timeLimitMs} ms`,
      memory: 'exceeded its memory limit',
      crash: 'crashed its worker thread',
    }
    const [what, advice] = kind === 'javascript' ? ['codec', ''] : ['expression', ' with fewer or smaller macros']
    return `the ${what} ${causes[failure]} twice and was stopped; simplify it${advice}`
  }
}

/** Returns the reason of the last failure without its advice, and the end of the quarantine. */
function quarantineReason({ until, reason }: Quarantine): string {
  const [cause] = reason.split('; ')
  return (
    `${cause}, several times in succession; it is quarantined until ${new Date(until).toISOString()}: ` +
    'simplify it; after a change it runs immediately'
  )
}
