import { Worker, type ResourceLimits } from 'node:worker_threads'
import type { Death, Task } from './evaluation-scheduler.ts'
import type { Evaluation } from './evaluator.ts'
import {
  threadTime,
  timeLeft,
  Progress,
  type JobMessage,
  type WorkerMessage,
  type WorkerSetup,
} from './worker-protocol.ts'

export interface EvaluationWorkerOptions {
  readonly url: URL
  readonly timeLimitMs: number
  readonly slowMs: number
  /** From 0 to 19: how far its thread stands back for others (nice(2)); where that cannot be set it does not. */
  readonly niceness: number
  readonly resourceLimits: ResourceLimits
}

export type JobOutcome =
  | { readonly kind: 'done'; readonly slow: ReadonlyMap<number, number> }
  /** The worker is lost; `index` is the task that ran. */
  | { readonly kind: 'died'; readonly index: number; readonly death: Death }

interface RunningJob {
  /** How many of its tasks are answered. */
  answered: number
  answer(index: number, evaluation: Evaluation): void
  settle(outcome: JobOutcome): void
}

/** One worker thread and the watchdog that stops it. Lives until it dies or is stopped; it is never used again then. */
export class EvaluationWorker {
  /** Resolves when the worker can take a job; rejects when it ends before that. */
  readonly ready: Promise<void>
  /** Resolves when the thread is gone. */
  readonly ended: Promise<void>
  readonly #worker: Worker
  readonly #progress = new Progress()
  readonly #timeLimitNs: bigint
  #death: Death = 'crash'
  #watchdog: NodeJS.Timeout | undefined
  #job: RunningJob | undefined
  #thread: number | null = null
  /** Of the thread, in nanoseconds, when its job began. */
  #usedBefore: bigint | null = null
  #stopping = false

  constructor(options: EvaluationWorkerOptions) {
    const setup: WorkerSetup = { progress: this.#progress.buffer, slowMs: options.slowMs, niceness: options.niceness }
    this.#timeLimitNs = BigInt(Math.round(options.timeLimitMs * 1e6))
    // An expression has no way to the environment; an empty one makes sure of it.
    const { url, resourceLimits } = options
    this.#worker = new Worker(url, { workerData: setup, resourceLimits, env: {}, name: 'cel' })
    const events = this.#listen()
    this.ready = events.ready
    this.ended = events.ended
  }

  /** False from the moment it is told to end: what it still says counts, but it gets no further job. */
  get usable(): boolean {
    return !this.#stopping
  }

  /** Runs one job; the worker must be ready, idle and usable. Each task is answered by its index, as soon as it is known. */
  run(tasks: readonly Task[], answer: (index: number, evaluation: Evaluation) => void): Promise<JobOutcome> {
    return new Promise((settle) => {
      this.#job = { answered: 0, answer, settle }
      this.#usedBefore = threadTime(this.#thread)
      const message = packJob(tasks)
      this.#worker.postMessage(message, [message.payloads.buffer])
      // The first look comes after a whole time limit: until it has begun, the worker's progress is that of the last job.
      this.#watchdog = setTimeout(() => this.#watch(), Number(this.#timeLimitNs) / 1e6)
    })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#worker.terminate()
  }

  #listen(): { readonly ready: Promise<void>; readonly ended: Promise<void> } {
    let lastError: unknown
    const ready = new Promise<void>((resolve, reject) => {
      this.#worker.on('message', (message: WorkerMessage) => {
        if (message.kind === 'ready') {
          this.#thread = message.thread
          resolve()
        } else this.#receive(message)
      })
      this.#worker.once('exit', (code) => reject(lastError ?? new Error(`the worker ended with exit code ${code}`)))
    })
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      lastError = error
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') this.#death = 'memory'
    })
    const ended = new Promise<void>((resolve) => {
      this.#worker.once('exit', () => {
        this.#stopping = true
        this.#end({ kind: 'died', index: this.#progress.read()?.index ?? this.#job?.answered ?? 0, death: this.#death })
        resolve()
      })
    })
    return { ready, ended }
  }

  #receive(message: Exclude<WorkerMessage, { kind: 'ready' }>): void {
    const job = this.#job
    if (job === undefined) return
    for (const evaluation of message.evaluations) job.answer(job.answered++, evaluation)
    if (message.kind === 'done') this.#end(message)
  }

  #end(outcome: JobOutcome): void {
    clearTimeout(this.#watchdog)
    const job = this.#job
    this.#job = undefined
    job?.settle(outcome)
  }

  /** Sleeps until the task that runs now would be over time, and looks again: no timer for each task. */
  #watch(): void {
    const running = this.#progress.read()
    const elapsed = running === undefined ? 0n : process.hrtime.bigint() - running.startedAt
    const left = timeLeft({ elapsed, used: this.#used(), limit: this.#timeLimitNs })
    if (left === 0n) {
      this.#death = 'time'
      void this.stop()
      return
    }
    this.#watchdog = setTimeout(() => this.#watch(), Math.ceil(Number(left) / 1e6))
  }

  /** What the whole job has used: at least what its running task has. One that is suspected wrongly is heard again, alone. */
  #used(): bigint | null {
    const now = threadTime(this.#thread)
    return now === null || this.#usedBefore === null ? null : now - this.#usedBefore
  }
}

/**
 * Copies the payloads into a buffer that is handed over whole: a payload is a window into a larger buffer of the connection,
 * and a structured clone would copy all of that for each.
 */
function packJob(tasks: readonly Task[]): JobMessage & { readonly payloads: Uint8Array<ArrayBuffer> } {
  const payloads = new Uint8Array(tasks.reduce((sum, task) => sum + task.payload.length, 0))
  const sources = new Map<string, number>()
  const sourceOf: number[] = []
  const ends: number[] = []
  let end = 0
  for (const task of tasks) {
    payloads.set(task.payload, end)
    end += task.payload.length
    ends.push(end)
    const known = sources.get(task.source)
    sourceOf.push(known ?? sources.size)
    if (known === undefined) sources.set(task.source, sources.size)
  }
  return { sources: [...sources.keys()], sourceOf, payloads, ends }
}
