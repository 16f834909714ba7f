import { Worker } from 'node:worker_threads'
import { messageOf, RequestError } from '../../config/errors.ts'
import { Timer } from '../../supervisor/timers.ts'

/** The limit of threads: each takes about 10 MB. */
const MAX_THREADS = 16
/** The time limit of a batch. */
const TIME_LIMIT_MS = 5000
/** The size of a batch in characters: a harmless expression takes a few milliseconds. */
const BATCH_CHARACTERS = 256 * 1024

const builtWorker = new URL('./grep-worker.js', import.meta.url)

export interface GrepOptions {
  /** The built program of the worker thread. */
  readonly worker?: URL
  readonly timeLimitMs?: number
}

interface Job {
  readonly resolve: (matches: readonly unknown[]) => void
  readonly reject: (error: RequestError) => void
}

/**
 * Matches texts against a regular expression of a client in a worker thread, because an expression such as `(a+)+$` can take
 * hours, in which the orchestrator would supervise nothing.
 */
export class Grep implements Disposable {
  static #threads = 0
  readonly #worker: Worker
  readonly #timeLimitMs: number
  readonly #isOnline: Promise<unknown>
  readonly #timer = new Timer()
  #job: Job | null = null
  #isClosed = false
  #failure: RequestError | null = null

  /** Throws a RequestError if too many threads run. */
  constructor(pattern: RegExp, { worker = builtWorker, timeLimitMs = TIME_LIMIT_MS }: GrepOptions = {}) {
    if (Grep.#threads >= MAX_THREADS) {
      throw new RequestError(503, `grep: ${MAX_THREADS} other searches are running; try again later`)
    }
    Grep.#threads += 1
    this.#timeLimitMs = timeLimitMs
    this.#worker = new Worker(worker, { workerData: pattern, env: {}, name: 'grep' })
    this.#isOnline = new Promise((resolve) => this.#worker.once('online', resolve).once('exit', resolve))
    this.#worker.on('message', (matches: readonly unknown[]) => this.#job?.resolve(matches))
    this.#worker.on('error', (error) => this.#fail(messageOf(error)))
    this.#worker.once('exit', () => {
      Grep.#threads -= 1
      this.#isClosed = true
      this.#job?.resolve([])
    })
  }

  /**
   * Returns those of the items whose text matches; none once it is closed. Rejects with a RequestError if the expression takes too
   * long, and for all later calls. Await it before the next call.
   */
  async select<T>(items: readonly T[], textOf: (item: T) => string): Promise<readonly T[]> {
    const selected: T[] = []
    for (const batch of batches(items, textOf)) {
      const matches = await this.#match(batch.map(textOf))
      selected.push(...batch.filter((_, index) => matches[index] === true))
    }
    return selected
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    void this.#worker.terminate()
  }

  async #match(texts: readonly string[]): Promise<readonly unknown[]> {
    await this.#isOnline
    if (this.#failure !== null) throw this.#failure
    if (this.#isClosed) return []
    const answer = new Promise<readonly unknown[]>((resolve, reject) => (this.#job = { resolve, reject }))
    const limit = `${this.#timeLimitMs / 1000} s`
    this.#timer.set(this.#timeLimitMs, () => this.#fail(`the expression took longer than ${limit}; simplify it`))
    this.#worker.postMessage(texts, [])
    return answer.finally(() => this.#timer.clear())
  }

  #fail(reason: string): void {
    this.#failure = new RequestError(400, `grep: ${reason}`)
    this.#job?.reject(this.#failure)
    this[Symbol.dispose]()
  }
}

/** Splits items into batches of limited size, and at least one item. */
function* batches<T>(items: readonly T[], textOf: (item: T) => string): Generator<readonly T[]> {
  let batch: T[] = []
  let size = 0
  for (const item of items) {
    batch.push(item)
    size += textOf(item).length
    if (size < BATCH_CHARACTERS) continue
    yield batch
    batch = []
    size = 0
  }
  if (batch.length > 0) yield batch
}
