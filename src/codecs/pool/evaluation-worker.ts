import { Worker, type ResourceLimits } from 'node:worker_threads'
import type { Codec } from '../../domain/codecs/codec.ts'
import type { Task, WorkerFailure } from './evaluation-scheduler.ts'
import { usesContext, type EnvelopeContext } from '../evaluation.ts'
import { Progress, threadTime } from './worker-protocol.ts'
import type { JobMessage, WorkerMessage, WorkerSetup } from './worker-protocol.ts'

export interface EvaluationWorkerOptions {
  readonly url: URL
  readonly timeLimitMs: number
  readonly slowMs: number
  /** Priority of the thread, 0 to 19 (nice(2)); ignored where it cannot be set. */
  readonly niceness: number
  readonly resourceLimits: ResourceLimits
}

export type JobOutcome =
  | Extract<WorkerMessage, { kind: 'done' }>
  /** The worker is lost; `index` is the task that ran. */
  | { readonly kind: 'lost'; readonly index: number; readonly failure: WorkerFailure }

/** JavaScript codecs have the same limit in the worker, which does not end it: the watchdog is for what does not check that limit. */
const OWN_LIMIT_GRACE_NS = 100_000_000n

/** A worker thread and the watchdog that stops it. Not reusable after its end. */
export class EvaluationWorker {
  /** Resolves when the worker can take a job; rejects when it ends before that. */
  readonly ready: Promise<void>
  /** Resolves when the thread has exited. */
  readonly ended: Promise<void>
  readonly #worker: Worker
  readonly #progress = new Progress()
  readonly #timeLimitNs: bigint
  /** The limit of the running job's tasks. */
  #limitNs = 0n
  #failure: WorkerFailure = 'crash'
  #watchdog: NodeJS.Timeout | undefined
  /** Settles the running job. */
  #settle: ((outcome: JobOutcome) => void) | undefined
  #thread: number | null = null
  /** Processor time of the thread, in nanoseconds, when its job began. */
  #usedBefore: bigint | null = null
  #stopping = false

  constructor(options: EvaluationWorkerOptions) {
    const { url, resourceLimits, slowMs, niceness, timeLimitMs } = options
    const workerData: WorkerSetup = { progress: this.#progress.buffer, slowMs, niceness }
    this.#timeLimitNs = BigInt(Math.round(timeLimitMs * 1e6))
    // Codecs cannot read the environment; an empty environment is an additional protection.
    this.#worker = new Worker(url, { workerData, resourceLimits, env: {}, name: 'codecs' })
    let lastError: unknown
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: WorkerMessage) => {
        if (message.kind !== 'ready') return this.#end(message)
        this.#thread = message.thread
        resolve()
      })
      this.#worker.once('exit', (code) => reject(lastError ?? new Error(`the worker exited with code ${code}`)))
    })
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      lastError = error
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') this.#failure = 'memory'
    })
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#stopping = true
        const index = this.#progress.read()?.index ?? 0
        this.#end({ kind: 'lost', index, failure: this.#failure })
        resolve()
      })
    })
  }

  /** False as soon as the worker is stopping: its last results count, but it receives no further job. */
  get usable(): boolean {
    return !this.#stopping
  }

  /** Runs one job; the worker must be ready, idle and usable. */
  run(tasks: readonly Task[]): Promise<JobOutcome> {
    return new Promise((settle) => {
      this.#settle = settle
      const hasJavaScript = tasks.some(({ codec }) => codec.kind === 'javascript')
      this.#limitNs = hasJavaScript ? this.#timeLimitNs + OWN_LIMIT_GRACE_NS : this.#timeLimitNs
      this.#usedBefore = threadTime(this.#thread)
      const message = packJob(tasks)
      this.#worker.postMessage(message, [message.payloads.buffer])
      // First checked after a whole time limit: until the job begins, the progress is that of the last job.
      this.#watchdog = setTimeout(() => this.#watch(), Number(this.#limitNs) / 1e6)
    })
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#worker.terminate()
  }

  #end(outcome: JobOutcome): void {
    clearTimeout(this.#watchdog)
    const settle = this.#settle
    this.#settle = undefined
    settle?.(outcome)
  }

  /** Checks the running task and sleeps until it would exceed its limit: no timer per task. */
  #watch(): void {
    const running = this.#progress.read()
    const elapsed = running === undefined ? 0n : process.hrtime.bigint() - running.startedAt
    const left = timeLeft({ elapsed, used: this.#used(), limit: this.#limitNs })
    if (left === 0n) {
      this.#failure = 'time'
      void this.stop()
      return
    }
    this.#watchdog = setTimeout(() => this.#watch(), Math.ceil(Number(left) / 1e6))
  }

  /** Returns the processor time of the whole job, an upper bound for its running task. The isolated retry corrects false suspicions. */
  #used(): bigint | null {
    const now = threadTime(this.#thread)
    return now === null || this.#usedBefore === null ? null : now - this.#usedBefore
  }
}

/** Copies the payloads into one transferable buffer: a structured clone of a payload would copy the connection's whole buffer. */
function packJob(tasks: readonly Task[]): JobMessage & { readonly payloads: Uint8Array<ArrayBuffer> } {
  const payloads = new Uint8Array(tasks.reduce((sum, task) => sum + task.payload.length, 0))
  const codecs: Codec[] = []
  const indexOf = new Map<string, number>()
  const codecOf: number[] = []
  const ends: number[] = []
  const checks: number[] = []
  let end = 0
  for (const { codec, payload, checkOnly } of tasks) {
    if (checkOnly === true) checks.push(ends.length)
    payloads.set(payload, end)
    end += payload.length
    ends.push(end)
    const known = indexOf.get(codec.source)
    if (known !== undefined && codecs[known]?.kind === codec.kind) codecOf.push(known)
    else {
      indexOf.set(codec.source, codecs.length)
      codecOf.push(codecs.length)
      codecs.push({ kind: codec.kind, source: codec.source })
    }
  }
  const job = { codecs, codecOf, payloads, ends, checks }
  if (!codecs.some(usesContext)) return job
  return { ...job, contexts: tasks.map(contextOf) }
}

/** Returns what a codec may use of the envelope: the context can be the whole envelope, whose payload must not be cloned. */
function contextOf({ codec, context }: Task): EnvelopeContext | undefined {
  if (context === undefined || !usesContext(codec)) return undefined
  return { receivedAt: context.receivedAt, uplink: context.uplink, normalize: context.normalize }
}

/**
 * The number of time limits by the clock after which an evaluation is stopped even if it used little processor time. Many, because a
 * thread of low priority gets a hundredth of a busy processor.
 */
const MAX_CLOCK_LIMITS = 240n

/**
 * Returns the remaining time of an evaluation in nanoseconds; 0 if it exceeded its limit. The limit is processor time (`used`,
 * null if unknown): on a busy machine the clock would stop expressions that have hardly run.
 */
export function timeLeft(running: { readonly elapsed: bigint; readonly used: bigint | null; readonly limit: bigint }) {
  const { elapsed, used, limit } = running
  if (elapsed < limit) return limit - elapsed
  if (used === null || used >= limit || elapsed >= limit * MAX_CLOCK_LIMITS) return 0n
  return limit - used
}
