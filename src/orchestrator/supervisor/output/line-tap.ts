import { decodeUtf8 } from './bytes.ts'

/** Lets probes and the record of the last lines listen to a child's lines, of both streams. Free of cost while nobody does. */
export class LineTap {
  readonly #listeners = new Set<(line: string) => void>()

  /** Calls `listener` with each line as text, until `signal` is aborted. */
  listen(listener: (line: string) => void, signal: AbortSignal): void {
    if (signal.aborted) return
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
  }

  /** Takes whole lines, joined by newlines, one character a byte. */
  push(lines: string): void {
    if (this.#listeners.size === 0) return
    for (const line of lines.split('\n')) {
      const { text } = decodeUtf8(line)
      for (const listener of this.#listeners) listener(text)
    }
  }
}
