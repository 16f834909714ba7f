import { readFileSync, readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import type { Evaluation } from './evaluator.ts'

/** A job on its way into a worker: payloads in one buffer of their own, each source once. */
export interface JobMessage {
  readonly sources: readonly string[]
  /** For each task the index of its source. */
  readonly sourceOf: readonly number[]
  readonly payloads: Uint8Array
  /** For each task where its payload ends in `payloads`; it starts where the one before ends. */
  readonly ends: readonly number[]
}

export type WorkerMessage =
  /** `thread`: by which the kernel says how much processor time it has used; null where nobody says. */
  | { readonly kind: 'ready'; readonly thread: number | null }
  /** The next evaluations of the job, in order. Large results go in parts, so that they do not fill the worker's heap. */
  | { readonly kind: 'part'; readonly evaluations: readonly Evaluation[] }
  /**
   * The last of them, and the duration in milliseconds of the one that took longer than `slowMs`, by the task's index. It ends
   * the job: what comes behind it may be quick, and is to be judged anew.
   */
  | { readonly kind: 'done'; readonly evaluations: readonly Evaluation[]; readonly slow: ReadonlyMap<number, number> }

export interface WorkerSetup {
  readonly progress: SharedArrayBuffer
  readonly slowMs: number
  readonly niceness: number
}

const IDLE = -1

/** Which task runs, and since when: written by the worker, read by the watchdog while the worker is busy or dead. */
export class Progress {
  readonly buffer: SharedArrayBuffer
  readonly #cells: BigInt64Array

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.#cells = new BigInt64Array(buffer)
  }

  /** `now` in nanoseconds of the monotonic clock, which all threads share. */
  start(index: number, now: bigint): void {
    Atomics.store(this.#cells, 1, now)
    Atomics.store(this.#cells, 0, BigInt(index))
  }

  idle(): void {
    Atomics.store(this.#cells, 0, BigInt(IDLE))
  }

  /** The task that runs and its start, or undefined between jobs. */
  read(): { readonly index: number; readonly startedAt: bigint } | undefined {
    for (;;) {
      const index = Number(Atomics.load(this.#cells, 0))
      const startedAt = Atomics.load(this.#cells, 1)
      if (index === IDLE) return undefined
      if (index === Number(Atomics.load(this.#cells, 0))) return { index, startedAt }
    }
  }
}

/** The longest source, in bytes of UTF-8. */
const MAX_SOURCE_BYTES = 4096

/** What to say of a source that is too long; undefined for any other. */
export function sizeProblem(source: string): string | undefined {
  const size = Buffer.byteLength(source)
  if (size <= MAX_SOURCE_BYTES) return undefined
  return `the expression has ${size} bytes, at most ${MAX_SOURCE_BYTES} are allowed`
}

/** The kernel's number of the thread that calls; null where there is no /proc. */
export function currentThread(): number | null {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1))
  } catch {
    return null
  }
}

/** Lets the calling thread stand back for others. On Linux, which knows priorities of threads, and only there. */
export function standBack(niceness: number): void {
  const thread = currentThread()
  if (niceness === 0 || thread === null) return
  try {
    setPriority(thread, niceness)
  } catch {
    // It is a courtesy: somebody who may not even be polite still works.
  }
}

/** Processor time that a thread of this process has used, in nanoseconds (proc(5), schedstat); null where nobody says. */
export function threadTime(thread: number | null): bigint | null {
  if (thread === null) return null
  try {
    return BigInt(readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ')[0] ?? '')
  } catch {
    return null
  }
}

/** However busy the machine is, after so many time limits by the clock it is enough. */
const MOST_LIMITS = 20n

export interface Running {
  /** By the clock, in nanoseconds, since the evaluation began. */
  readonly elapsed: bigint
  /** Processor time of its thread since then or earlier; null if it is not known. */
  readonly used: bigint | null
  readonly limit: bigint
}

/**
 * How much longer an evaluation may run, in nanoseconds; 0 when its time is over. The limit is one of processor time: on a
 * machine that is busy with other things the clock would convict expressions that have hardly run.
 */
export function timeLeft({ elapsed, used, limit }: Running): bigint {
  if (elapsed < limit) return limit - elapsed
  if (used === null || used >= limit || elapsed >= limit * MOST_LIMITS) return 0n
  return limit - used
}

/** A reading of a thread's processor time costs some microseconds: taken once in so many nanoseconds, and when it counts. */
const READ_EVERY = 1_000_000n

/** Times the evaluations of the calling thread, one after the other: by the clock while they are quick, which costs nothing. */
export class Stopwatch {
  readonly #thread = currentThread()
  #used: bigint | null = threadTime(this.#thread)
  #readAt = process.hrtime.bigint()
  #startedAt = this.#readAt

  /** Begins with the next one; says when, in nanoseconds of the monotonic clock. */
  start(): bigint {
    this.#startedAt = process.hrtime.bigint()
    if (this.#startedAt - this.#readAt > READ_EVERY) {
      this.#used = threadTime(this.#thread)
      this.#readAt = this.#startedAt
    }
    return this.#startedAt
  }

  /** Milliseconds that it took; if by the clock they are more than `slowMs`, those of processor time, to a millisecond. */
  read(slowMs: number): number {
    const tookMs = Number(process.hrtime.bigint() - this.#startedAt) / 1e6
    if (tookMs <= slowMs || this.#used === null) return tookMs
    const now = threadTime(this.#thread)
    return now === null ? tookMs : Math.min(tookMs, Number(now - this.#used) / 1e6)
  }
}
