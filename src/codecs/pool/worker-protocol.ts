import { readFileSync, readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import type { Codec } from '../../domain/codecs/codec.ts'
import type { EnvelopeContext, Evaluation } from '../evaluation.ts'

// Shared by the evaluation pool and its worker threads. Does not import the engines, which only the workers load.

/** A job sent to a worker. */
export interface JobMessage {
  /** The distinct codecs. */
  readonly codecs: readonly Codec[]
  /** For each task the index of its codec. */
  readonly codecOf: readonly number[]
  /** All payloads, concatenated. */
  readonly payloads: Uint8Array
  /** For each task the end of its payload in `payloads`. */
  readonly ends: readonly number[]
  /** For each task its context, if its codec may use it; absent if no codec of the job does. */
  readonly contexts?: readonly (EnvelopeContext | undefined)[]
  /** The indices of the tasks that only load their codec. */
  readonly checks: readonly number[]
}

export type WorkerMessage =
  /** `thread`: the kernel's thread id, for reading its processor time; null without /proc. */
  | { readonly kind: 'ready'; readonly thread: number | null }
  /**
   * The results of the first tasks of the job, at least one, and the duration of each in ms. A job ends early when its tasks took
   * longer than `slowMs` or returned many bytes.
   */
  | { readonly kind: 'done'; readonly evaluations: readonly Evaluation[]; readonly durations: readonly number[] }

export interface WorkerSetup {
  readonly progress: SharedArrayBuffer
  readonly slowMs: number
  readonly niceness: number
}

const IDLE = -1

/** The running task and its start. The worker writes it; the watchdog reads it, even if the worker is busy or has ended. */
export class Progress {
  readonly buffer: SharedArrayBuffer
  readonly #cells: BigInt64Array

  constructor(buffer = new SharedArrayBuffer(16)) {
    this.buffer = buffer
    this.#cells = new BigInt64Array(buffer)
  }

  /** Records a start. `now`: nanoseconds of the monotonic clock, which all threads share. */
  start(index: number, now: bigint): void {
    Atomics.store(this.#cells, 1, now)
    Atomics.store(this.#cells, 0, BigInt(index))
  }

  idle(): void {
    Atomics.store(this.#cells, 0, BigInt(IDLE))
  }

  /** Returns the running task; undefined between jobs. */
  read(): { readonly index: number; readonly startedAt: bigint } | undefined {
    for (;;) {
      const index = Number(Atomics.load(this.#cells, 0))
      const startedAt = Atomics.load(this.#cells, 1)
      if (index === IDLE) return undefined
      if (index === Number(Atomics.load(this.#cells, 0))) return { index, startedAt }
    }
  }
}

/** Returns the kernel's id of the calling thread; null without /proc. */
export function currentThread(): number | null {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1))
  } catch {
    return null
  }
}

/** Lowers the priority of the calling thread. Only Linux has priorities per thread; best effort. */
export function lowerThreadPriority(niceness: number): void {
  const thread = currentThread()
  if (niceness === 0 || thread === null) return
  try {
    setPriority(thread, niceness)
  } catch {
    // Not permitted: the thread runs at normal priority.
  }
}

/** Returns the processor time of a thread of this process in nanoseconds (proc(5), schedstat); null if unknown. */
export function threadTime(thread: number | null): bigint | null {
  if (thread === null) return null
  try {
    return BigInt(readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ')[0] ?? '')
  } catch {
    return null
  }
}

/** The number of nanoseconds for which a reading of processor time is reused, because it costs microseconds. */
const READ_INTERVAL_NS = 1_000_000n

/** Measures consecutive evaluations of the calling thread: quick evaluations by the clock, which is cheap. */
export class Stopwatch {
  readonly #thread = currentThread()
  #used: bigint | null = threadTime(this.#thread)
  #readAt = process.hrtime.bigint()
  #startedAt = this.#readAt

  /** Starts the next measurement; returns its start in nanoseconds of the monotonic clock. */
  start(): bigint {
    this.#startedAt = process.hrtime.bigint()
    if (this.#startedAt - this.#readAt > READ_INTERVAL_NS) {
      this.#used = threadTime(this.#thread)
      this.#readAt = this.#startedAt
    }
    return this.#startedAt
  }

  /** Returns the elapsed milliseconds; if they exceed `slowMs`, the processor time instead, accurate to a millisecond. */
  read(slowMs: number): number {
    const tookMs = Number(process.hrtime.bigint() - this.#startedAt) / 1e6
    if (tookMs <= slowMs || this.#used === null) return tookMs
    const now = threadTime(this.#thread)
    return now === null ? tookMs : Math.min(tookMs, Number(now - this.#used) / 1e6)
  }
}
