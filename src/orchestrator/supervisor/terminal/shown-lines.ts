import { LineSplitter, type LinesHandler } from '../output/lines.ts'
import type { Splitter } from '../output/stream-relay.ts'
import { LineSnapshots } from './line-snapshots.ts'
import { visibleLine } from './terminal-lines.ts'

/**
 * Splits the output of a child without a terminal for a display at our terminal: `show` also receives an unfinished line after a
 * second, and the whole line when it is finished, unless that looks the same. `record` receives whole lines only.
 */
export class ShownLines implements Splitter {
  readonly #splitter: LineSplitter
  readonly #snapshots: LineSnapshots
  readonly #show: LinesHandler

  constructor(record: LinesHandler, show: LinesHandler) {
    this.#show = show
    this.#snapshots = new LineSnapshots(() => visibleLine(this.#splitter.unfinished), show)
    this.#splitter = new LineSplitter((lines) => {
      this.#finish(lines)
      record(lines)
    })
  }

  push(chunk: Buffer): void {
    this.#splitter.push(chunk)
    this.#snapshots.update(this.#splitter.unfinished !== '')
  }

  end(): void {
    this.#splitter.end()
    this.#snapshots.update(false)
  }

  /** Shows whole lines; the first one only if the last snapshot differs. */
  #finish(lines: string): void {
    if (!this.#snapshots.isShown) {
      this.#snapshots.update(false)
      return this.#show(lines)
    }
    const end = lines.indexOf('\n')
    const first = end < 0 ? lines : lines.slice(0, end)
    if (!this.#snapshots.finish(visibleLine(first))) return this.#show(lines)
    if (end >= 0) this.#show(lines.slice(end + 1))
  }
}
