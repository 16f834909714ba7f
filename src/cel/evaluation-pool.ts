import {
  EvaluationScheduler,
  DEFAULT_LIMITS,
  type Answer,
  type Death,
  type Job,
  type SchedulerLimits,
  type Task,
  type WorkerKind,
} from './evaluation-scheduler.ts'
import { EvaluationWorker, type JobOutcome } from './evaluation-worker.ts'
import { sizeProblem } from './worker-protocol.ts'

export interface EvaluationPoolOptions {
  /** The worker's program: a module that calls `serveEvaluations`. */
  readonly workerUrl: URL
  /** At least 2: one is for what is slow or unknown, all others are for quick expressions. Default 2. */
  readonly workers?: number
  /** Heap of one worker. Default 64 MB. */
  readonly memoryLimitMb?: number
  readonly limits?: Partial<SchedulerLimits>
  /** Told of every worker that was lost in the middle of a job. */
  onWorkerLost?(death: Death): void
}

interface PendingTask extends Task {
  resolve(answer: Answer): void
  reject(error: unknown): void
}

type State = 'open' | 'closed'

const MIN_WORKERS = 2
const RESTART_DELAY_MS = 1000
/** A tenth of the processor's time where others want it, all of it where nobody does (sched(7)). */
const BACKGROUND_NICENESS = 10

/**
 * Evaluates expressions of strangers in worker threads, each evaluation bounded in time and memory. A worker that had to be
 * stopped is replaced. One device's expression neither slows nor drops another's messages (see EvaluationScheduler): what is slow,
 * or not known yet, runs behind all else on the machine.
 */
export class EvaluationPool implements AsyncDisposable {
  readonly #options: EvaluationPoolOptions
  readonly #scheduler: EvaluationScheduler<PendingTask>
  readonly #limits: SchedulerLimits
  readonly #size: number
  readonly #workers = new Map<EvaluationWorker, WorkerKind>()
  readonly #idle: Readonly<Record<WorkerKind, EvaluationWorker[]>> = { quick: [], background: [] }
  readonly #unanswered = new Set<PendingTask>()
  #state: State = 'open'
  readonly #restarts = new Set<NodeJS.Timeout>()
  #dispatchIsDue = false

  constructor(options: EvaluationPoolOptions) {
    this.#options = options
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#scheduler = new EvaluationScheduler(this.#limits)
    this.#size = Math.max(MIN_WORKERS, options.workers ?? MIN_WORKERS)
  }

  /** Starts the workers; rejects when they cannot be started. */
  async start(): Promise<void> {
    try {
      const kinds = Array.from({ length: this.#size }, (_, index) => (index === 0 ? 'background' : 'quick'))
      await Promise.all(kinds.map((kind) => this.#spawn(kind)))
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Workers that live, and tasks that wait. */
  get usage(): { readonly workers: number; readonly quick: number; readonly slow: number } {
    return { workers: this.#workers.size, ...this.#scheduler.queued }
  }

  /** Rejects only when the pool is closed. */
  evaluate(task: Task): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'closed') return reject(new Error('the evaluation pool is closed'))
      // Not checked before it was written: plain SQL puts any text there. A job may bring many sources to a worker.
      const tooLong = sizeProblem(task.source)
      if (tooLong !== undefined) return resolve({ ok: false, reason: tooLong })
      const pending: PendingTask = { key: task.key, source: task.source, payload: task.payload, resolve, reject }
      const answer = this.#scheduler.submit(pending, Date.now())
      if (answer !== undefined) return resolve(answer)
      this.#unanswered.add(pending)
      this.#dispatchSoon()
    })
  }

  /** Stops the workers; what still waits is rejected. */
  async close(): Promise<void> {
    this.#state = 'closed'
    for (const timer of this.#restarts) clearTimeout(timer)
    for (const pending of this.#unanswered) pending.reject(new Error('the evaluation pool is closed'))
    this.#unanswered.clear()
    await Promise.all([...this.#workers.keys()].map((worker) => worker.stop()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #spawn(kind: WorkerKind): Promise<void> {
    const { workerUrl, memoryLimitMb = 64 } = this.#options
    const worker = new EvaluationWorker({
      url: workerUrl,
      timeLimitMs: this.#limits.timeLimitMs,
      slowMs: this.#limits.slowMs,
      niceness: kind === 'background' ? BACKGROUND_NICENESS : 0,
      resourceLimits: { maxOldGenerationSizeMb: memoryLimitMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    })
    this.#workers.set(worker, kind)
    try {
      await worker.ready
    } catch (error) {
      this.#workers.delete(worker)
      throw new Error('an evaluation worker did not start', { cause: error })
    }
    void worker.ended.then(() => this.#replace(worker, kind))
    this.#idle[kind].push(worker)
    this.#dispatchSoon()
  }

  #replace(worker: EvaluationWorker, kind: WorkerKind): void {
    this.#workers.delete(worker)
    const at = this.#idle[kind].indexOf(worker)
    if (at >= 0) this.#idle[kind].splice(at, 1)
    this.#refill(kind)
  }

  /** A worker that does not start (no memory, no file) is tried again, not in a tight loop. */
  #refill(kind: WorkerKind): void {
    if (this.#state === 'closed') return
    this.#spawn(kind).catch(() => {
      if (this.#state === 'closed') return
      const timer = setTimeout(() => {
        this.#restarts.delete(timer)
        this.#refill(kind)
      }, RESTART_DELAY_MS)
      this.#restarts.add(timer)
    })
  }

  /** Tasks that come in one turn of the event loop share their jobs. */
  #dispatchSoon(): void {
    if (this.#dispatchIsDue) return
    this.#dispatchIsDue = true
    queueMicrotask(() => {
      this.#dispatchIsDue = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    for (const kind of ['quick', 'background'] as const) {
      while (this.#idle[kind].length > 0 && this.#state === 'open') {
        const job = this.#scheduler.next(kind)
        const worker = job === undefined ? undefined : this.#idle[kind].pop()
        if (job === undefined || worker === undefined) break
        void this.#run(worker, kind, job)
      }
    }
  }

  async #run(worker: EvaluationWorker, kind: WorkerKind, job: Job<PendingTask>): Promise<void> {
    let answered = 0
    const outcome = await worker.run(job.tasks, (index, evaluation) => {
      answered = index + 1
      const task = job.tasks[index]
      if (task !== undefined) this.#answer(task, evaluation)
    })
    if (worker.usable) this.#idle[kind].push(worker)
    if (outcome.kind === 'done') this.#answerAll(this.#scheduler.finished(job, answered, outcome.slow, Date.now()))
    else this.#bury(job, answered, outcome)
    this.#dispatchSoon()
  }

  #bury(job: Job<PendingTask>, answered: number, outcome: Extract<JobOutcome, { kind: 'died' }>): void {
    if (this.#state === 'closed') return
    this.#options.onWorkerLost?.(outcome.death)
    this.#answerAll(this.#scheduler.died(job, answered, outcome.index, outcome.death, Date.now()))
  }

  #answerAll(answers: ReadonlyMap<PendingTask, Answer>): void {
    for (const [task, answer] of answers) this.#answer(task, answer)
  }

  #answer(task: PendingTask, answer: Answer): void {
    this.#unanswered.delete(task)
    task.resolve(answer)
  }
}
