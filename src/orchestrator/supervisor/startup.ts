import type { ResolvedProcess } from '../config/resolved.ts'
import { type LineTap, RecentLines } from './output/lines.ts'
import { elapsed, Timer } from './timers.ts'

/** The time until a process is ready for the first time: its limit, over all of its starts, and what it said last. */
export class Startup {
  readonly #definition: ResolvedProcess
  readonly #onTimeout: (reason: string) => void
  readonly #timer = new Timer()
  readonly #recent = new RecentLines()
  #firstStartAt = 0
  #isOver = false

  constructor(definition: ResolvedProcess, onTimeout: (reason: string) => void) {
    this.#definition = definition
    this.#onTimeout = onTimeout
  }

  /** What it said last; nothing once it was ready. */
  get lastLines(): readonly string[] {
    return this.#isOver ? [] : this.#recent.lines
  }

  begin(): void {
    this.#firstStartAt = performance.now()
    const { readinessProbe, startupTimeoutMs } = this.#definition
    if (readinessProbe === null || this.#isOver) return
    this.#timer.set(startupTimeoutMs, () => this.#onTimeout(`not ready after ${startupTimeoutMs} ms`))
  }

  /** Another child of it speaks. */
  follow(lines: LineTap): void {
    if (this.#timer.isSet) this.#recent.follow(lines)
  }

  /** It is ready: the milliseconds since its first start, or later since `childStartedAt`. */
  succeed(childStartedAt: number | null): number {
    const since = this.#isOver ? (childStartedAt ?? this.#firstStartAt) : this.#firstStartAt
    this.#isOver = true
    this.clear()
    this.#recent.end()
    return elapsed(since)
  }

  /** No limit any more. */
  clear(): void {
    this.#timer.clear()
  }
}
