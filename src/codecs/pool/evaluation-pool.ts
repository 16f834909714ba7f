import { sourceSizeError } from '../../domain/codecs/codec.ts'
import { ByteBudget } from '../../domain/byte-budget.ts'
import { EvaluationScheduler, DEFAULT_LIMITS } from './evaluation-scheduler.ts'
import type { Job, SchedulerLimits, Task, TaskResult, WorkerFailure } from './evaluation-scheduler.ts'
import { EvaluationWorker } from './evaluation-worker.ts'
import type { Lane } from './flow.ts'

export interface EvaluationPoolOptions {
  /** The worker's program: a module that calls `serveEvaluations`. */
  readonly workerUrl: URL
  /** The number of workers, at least 2: one background worker, all others for quick expressions. Default 2. */
  readonly workers?: number
  /** Heap of one worker. Default 64 MB. */
  readonly memoryLimitMb?: number
  readonly limits?: Partial<SchedulerLimits>
  /** Called for every worker that was lost during a job. */
  onWorkerLost?(failure: WorkerFailure): void
}

interface PendingTask extends Task {
  readonly onRun: ((ms: number) => void) | undefined
  resolve(result: TaskResult): void
  reject(error: unknown): void
}

const MIN_WORKERS = 2
const RESTART_DELAY_MS = 1000
/** The limit of results that are not released; a job of each worker can exceed it. */
const MAX_RESULT_BYTES = 32 * 1024 * 1024
/** Niceness for about a tenth of the processor while other threads need it, and the whole processor otherwise (sched(7)). */
const BACKGROUND_NICENESS = 10

/**
 * Evaluates untrusted expressions in worker threads, each evaluation bounded in time and memory. A worker that was stopped is
 * replaced. One organization's expressions neither drop another organization's messages nor delay them beyond its share (see
 * EvaluationScheduler): expressions that are slow or new run in a background thread of low priority.
 */
export class EvaluationPool implements AsyncDisposable {
  readonly #options: EvaluationPoolOptions
  readonly #scheduler: EvaluationScheduler<PendingTask>
  readonly #limits: SchedulerLimits
  readonly #workers = new Set<EvaluationWorker>()
  readonly #idle: Readonly<Record<Lane, EvaluationWorker[]>> = { quick: [], background: [] }
  readonly #pending = new Set<PendingTask>()
  /** Results that are not released. A small payload can have a large result, so the bounds of the callers' queues do not suffice. */
  readonly #results = new ByteBudget({ items: Infinity, bytes: MAX_RESULT_BYTES })
  readonly #restarts = new Set<NodeJS.Timeout>()
  #closed = false
  #dispatchScheduled = false

  constructor(options: EvaluationPoolOptions) {
    this.#options = options
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#scheduler = new EvaluationScheduler(this.#limits)
  }

  /** Starts the workers; rejects if a worker does not start. */
  async start(): Promise<void> {
    const quickWorkers = Math.max(MIN_WORKERS, this.#options.workers ?? MIN_WORKERS) - 1
    const quick = Array.from({ length: quickWorkers }, () => this.#spawn('quick'))
    try {
      await Promise.all([this.#spawn('background'), ...quick])
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Numbers of running workers and queued tasks. */
  get usage(): Readonly<Record<'workers' | Lane, number>> {
    return { workers: this.#workers.size, ...this.#scheduler.queued }
  }

  /**
   * Evaluates a task; rejects only if the pool is closed. The caller releases the size of the data when it no longer holds the data;
   * no job starts while too many bytes are not released. `onRun` is called with the processor time of an evaluation that was not stopped.
   */
  evaluate(task: Task, onRun?: (ms: number) => void): Promise<TaskResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('the evaluation pool is closed'))
      // Sources written with plain SQL are unchecked, and a job can contain many sources.
      const tooLong = sourceSizeError(task.codec)
      if (tooLong !== undefined) return resolve({ ok: false, reason: tooLong })
      const { organizationId, codec, payload, context, checkOnly } = task
      const pending: PendingTask = { organizationId, codec, payload, context, checkOnly, onRun, resolve, reject }
      const result = this.#scheduler.submit(pending, Date.now())
      if (result !== undefined) return resolve(result)
      this.#pending.add(pending)
      this.#scheduleDispatch()
    })
  }

  release(size: number): void {
    const wasFull = this.#results.isFull
    this.#results.remove(size)
    if (wasFull) this.#scheduleDispatch()
  }

  /** Stops the workers; pending evaluations are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    for (const timer of this.#restarts) clearTimeout(timer)
    for (const pending of this.#pending) pending.reject(new Error('the evaluation pool is closed'))
    this.#pending.clear()
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
  }

  async #spawn(lane: Lane): Promise<void> {
    const { workerUrl, memoryLimitMb = 64 } = this.#options
    const worker = new EvaluationWorker({
      url: workerUrl,
      timeLimitMs: this.#limits.timeLimitMs,
      slowMs: this.#limits.slowMs,
      niceness: lane === 'background' ? BACKGROUND_NICENESS : 0,
      resourceLimits: { maxOldGenerationSizeMb: memoryLimitMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    })
    this.#workers.add(worker)
    try {
      await worker.ready
    } catch (error) {
      this.#workers.delete(worker)
      throw new Error('an evaluation worker did not start', { cause: error })
    }
    void worker.ended.then(() => this.#onWorkerExit(worker, lane))
    this.#idle[lane].push(worker)
    this.#scheduleDispatch()
  }

  #onWorkerExit(worker: EvaluationWorker, lane: Lane): void {
    this.#workers.delete(worker)
    const at = this.#idle[lane].indexOf(worker)
    if (at >= 0) this.#idle[lane].splice(at, 1)
    this.#respawn(lane)
  }

  /** Retries after a delay while a worker does not start (no memory, no file). */
  #respawn(lane: Lane): void {
    if (this.#closed) return
    this.#spawn(lane).catch(() => {
      if (this.#closed) return
      const timer = setTimeout(() => {
        this.#restarts.delete(timer)
        this.#respawn(lane)
      }, RESTART_DELAY_MS)
      this.#restarts.add(timer)
    })
  }

  /** Schedules a dispatch: tasks submitted in one turn of the event loop share jobs. */
  #scheduleDispatch(): void {
    if (this.#dispatchScheduled) return
    this.#dispatchScheduled = true
    queueMicrotask(() => {
      this.#dispatchScheduled = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    for (const lane of ['quick', 'background'] as const) {
      while (this.#idle[lane].length > 0 && !this.#closed && !this.#results.isFull) {
        const job = this.#scheduler.next(lane)
        const worker = job === undefined ? undefined : this.#idle[lane].pop()
        if (job === undefined || worker === undefined) break
        void this.#run(worker, job)
      }
    }
  }

  async #run(worker: EvaluationWorker, job: Job<PendingTask>): Promise<void> {
    const outcome = await worker.run(job.tasks)
    if (worker.usable) this.#idle[job.lane].push(worker)
    if (outcome.kind === 'done') {
      for (const [index, evaluation] of outcome.evaluations.entries()) {
        const task = job.tasks[index]
        task?.onRun?.(outcome.durations[index] ?? 0)
        if (task !== undefined) this.#settle(task, evaluation)
      }
      this.#settleAll(this.#scheduler.finished(job, outcome.durations, Date.now(), outcome.evaluations))
    } else if (!this.#closed) {
      const { index, failure } = outcome
      this.#options.onWorkerLost?.(failure)
      this.#settleAll(this.#scheduler.workerLost(job, index, failure, Date.now()))
    }
    this.#scheduleDispatch()
  }

  #settleAll(results: ReadonlyMap<PendingTask, TaskResult>): void {
    for (const [task, result] of results) this.#settle(task, result)
  }

  #settle(task: PendingTask, result: TaskResult): void {
    this.#pending.delete(task)
    if (result.ok) this.#results.add(result.size)
    task.resolve(result)
  }
}
