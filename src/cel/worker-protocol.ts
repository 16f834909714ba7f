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
