/**
 * Writes texts that follow each other in one turn of the event loop together: a system call costs more than a line. The first text of a turn is
 * written immediately, so that what precedes a crash is in the log; call `flush` when the process exits.
 */
export class BurstWriter {
  readonly #write: (text: string) => void
  #isBurst = false
  #waiting = ''

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  /** Writes the text, now or at the end of the turn. */
  write(text: string): void {
    if (!this.#isBurst) {
      this.#isBurst = true
      setImmediate(() => this.#endTurn())
      return this.#write(text)
    }
    this.#waiting += text
    if (this.#waiting.length >= MAX_LENGTH) this.flush()
  }

  /** Writes what waits. */
  flush(): void {
    if (this.#waiting === '') return
    const text = this.#waiting
    this.#waiting = ''
    this.#write(text)
  }

  #endTurn(): void {
    this.#isBurst = false
    this.flush()
  }
}

/** The length of the texts that wait at most; a pipe has 64 KiB. */
const MAX_LENGTH = 32 * 1024
