import type { LineTap } from './line-tap.ts'

const KEPT = 20

/** The last 20 lines that were said, over all children of one process. */
export class RecentLines {
  /** Aborted when the child that is listened to now is of no interest any more. */
  #over = new AbortController()
  #lines: string[] = []

  get lines(): readonly string[] {
    return this.#lines
  }

  /** Listens to a further child, and no longer to the one before it. */
  follow(tap: LineTap): void {
    this.#over.abort()
    this.#over = new AbortController()
    tap.listen((line) => {
      this.#lines.push(line)
      if (this.#lines.length > KEPT) this.#lines.shift()
    }, this.#over.signal)
  }

  /** Forgets them and listens no more: reading lines one by one has its price. */
  end(): void {
    this.#over.abort()
    this.#lines = []
  }
}
