import { Timer } from '../supervisor/timers.ts'

/** The limit of remembered paths; further ones are only counted as part of the burst. */
const MAX_PATHS = 1000

/** Collects changed paths and passes them on when no further change has followed for a time. */
export class Debounce {
  readonly #waitMs: number
  readonly #act: (paths: readonly string[]) => void
  readonly #paths = new Set<string>()
  readonly #timer = new Timer()

  constructor(waitMs: number, act: (paths: readonly string[]) => void) {
    this.#waitMs = waitMs
    this.#act = act
  }

  add(path: string): void {
    if (this.#paths.size < MAX_PATHS) this.#paths.add(path)
    this.#timer.set(this.#waitMs, () => this.#flush())
  }

  /** Discards the collected paths. */
  clear(): void {
    this.#timer.clear()
    this.#paths.clear()
  }

  #flush(): void {
    const paths = [...this.#paths]
    this.clear()
    this.#act(paths)
  }
}
