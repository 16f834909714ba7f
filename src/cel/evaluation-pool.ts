import { EvaluationScheduler, DEFAULT_LIMITS } from './evaluation-scheduler.ts'
import type { Answer, Death, Job, SchedulerLimits, Task } from './evaluation-scheduler.ts'
import { EvaluationWorker } from './evaluation-worker.ts'
import type { JobOutcome } from './evaluation-worker.ts'
import { sizeProblem } from './source-size.ts'

export interface EvaluationPoolOptions {
  /** The worker's program: a module that calls `serveEvaluations`. */
  readonly workerUrl: URL
  /** At least 2: one is always there for quick expressions. Default 2. */
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

/**
 * Evaluates expressions of strangers in worker threads, each evaluation bounded in time and memory. A worker that had to be
 * stopped is replaced. One device's expression neither slows nor drops another's messages (see EvaluationScheduler).
 */
export class EvaluationPool implements AsyncDisposable {
  readonly #options: EvaluationPoolOptions
  readonly #scheduler: EvaluationScheduler<PendingTask>
  readonly #limits: SchedulerLimits
  readonly #size: number
  readonly #workers = new Set<EvaluationWorker>()
  readonly #idle: EvaluationWorker[] = []
  readonly #unanswered = new Set<PendingTask>()
  #running = 0
  #slowJobs = 0
  #state: State = 'open'
  #restart: NodeJS.Timeout | undefined
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
      await Promise.all(Array.from({ length: this.#size }, () => this.#spawn()))
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
    clearTimeout(this.#restart)
    for (const pending of this.#unanswered) pending.reject(new Error('the evaluation pool is closed'))
    this.#unanswered.clear()
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #spawn(): Promise<void> {
    const { workerUrl, memoryLimitMb = 64 } = this.#options
    const worker = new EvaluationWorker({
      url: workerUrl,
      timeLimitMs: this.#limits.timeLimitMs,
      slowMs: this.#limits.slowMs,
      resourceLimits: { maxOldGenerationSizeMb: memoryLimitMb, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    })
    this.#workers.add(worker)
    try {
      await worker.ready
    } catch (error) {
      this.#workers.delete(worker)
      throw new Error('an evaluation worker did not start', { cause: error })
    }
    void worker.ended.then(() => this.#replace(worker))
    this.#idle.push(worker)
    this.#dispatchSoon()
  }

  #replace(worker: EvaluationWorker): void {
    this.#workers.delete(worker)
    const at = this.#idle.indexOf(worker)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#refill()
  }

  /** A worker that does not start (no memory, no file) is tried again, not in a tight loop. */
  #refill(): void {
    if (this.#state === 'closed' || this.#workers.size >= this.#size) return
    this.#spawn().catch(() => {
      if (this.#state === 'open') this.#restart = setTimeout(() => this.#refill(), RESTART_DELAY_MS)
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
    while (this.#idle.length > 0 && this.#state === 'open') {
      // One that is about to be replaced can't be the one that stays for the quick ones.
      const ready = this.#idle.length + this.#running
      const job = this.#scheduler.next(this.#slowJobs < ready - 1)
      const worker = job === undefined ? undefined : this.#idle.pop()
      if (job === undefined || worker === undefined) return
      void this.#run(worker, job)
    }
  }

  async #run(worker: EvaluationWorker, job: Job<PendingTask>): Promise<void> {
    let answered = 0
    this.#running++
    if (job.lane !== 'quick') this.#slowJobs++
    const outcome = await worker.run(job.tasks, (index, evaluation) => {
      answered = index + 1
      const task = job.tasks[index]
      if (task !== undefined) this.#answer(task, evaluation)
    })
    if (job.lane !== 'quick') this.#slowJobs--
    this.#running--
    if (worker.usable) this.#idle.push(worker)
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
