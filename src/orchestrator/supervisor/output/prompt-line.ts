import type { Writable } from 'node:stream'
import { DEFAULT_SIZE } from '../terminal/size.ts'
import { Timer } from '../timers.ts'

/** Limits the redraws to 20 a second. */
const REDRAW_MS = 50
const ERASE_LINE = '\r\u001b[K'

/** Texts to write before and after whole lines. */
export type Frame = readonly [before: string, after: string]

/**
 * The last line of a terminal while something is typed: all other output appears above it. All writers of the terminal write whole
 * lines, each write between the texts of `around`.
 */
export class PromptLine {
  readonly #stream: Pick<Writable, 'write'> & { readonly columns?: number }
  readonly #now: () => number
  readonly #timer = new Timer()
  #text: string | null = null
  #isDrawn = false
  #drawnAt = -Infinity

  constructor(stream: Pick<Writable, 'write'> & { readonly columns?: number }, now = () => performance.now()) {
    this.#stream = stream
    this.#now = now
  }

  /** Shows a text; null removes the line. */
  set(text: string | null): void {
    this.#text = text
    this.#timer.clear()
    if (text !== null) return this.#draw()
    if (this.#isDrawn) this.#stream.write(ERASE_LINE)
    this.#isDrawn = false
  }

  /** Returns the texts to write before and after whole lines now. While there is much output, the line is missing in between. */
  around(): Frame {
    if (this.#text === null) return ['', '']
    const before = this.#isDrawn ? ERASE_LINE : ''
    const waitMs = this.#drawnAt + REDRAW_MS - this.#now()
    this.#isDrawn = waitMs <= 0
    if (this.#isDrawn) {
      this.#drawnAt = this.#now()
      return [before, this.#shown()]
    }
    if (!this.#timer.isSet) this.#timer.set(waitMs, () => this.#draw())
    return [before, '']
  }

  #draw(): void {
    this.#timer.clear()
    this.#stream.write(ERASE_LINE + this.#shown())
    this.#isDrawn = true
    this.#drawnAt = this.#now()
  }

  /** Returns the end of the text that fits into one row, which ERASE_LINE can remove. */
  #shown(): string {
    const { columns = DEFAULT_SIZE.columns } = this.#stream
    return (this.#text ?? '').slice(-Math.max(1, columns - 1))
  }
}
