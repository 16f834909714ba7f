import { Timer } from '../timers.ts'

/** An unfinished line, such as a prompt or a progress bar, is shown after a second, and then every ten seconds if it changes. */
const FIRST_SNAPSHOT_MS = 1000
const SNAPSHOT_EVERY_MS = 10_000

/** Shows the unfinished line of a stream while its end does not arrive. */
export class LineSnapshots {
  readonly #read: () => string
  readonly #show: (visible: string) => void
  readonly #timer = new Timer()
  #last = ''

  /** `read` returns what is visible of the unfinished line. */
  constructor(read: () => string, show: (visible: string) => void) {
    this.#read = read
    this.#show = show
  }

  /** True if a snapshot of the unfinished line is shown. */
  get isShown(): boolean {
    return this.#last !== ''
  }

  /** Call it after each chunk. */
  update(isUnfinished: boolean): void {
    if (!isUnfinished) this.#timer.clear()
    else if (!this.#timer.isSet) this.#timer.set(FIRST_SNAPSHOT_MS, () => this.#take())
  }

  /** Call it when the line is finished. Returns whether the last snapshot shows it already. */
  finish(visible: string): boolean {
    this.#timer.clear()
    const isSame = this.isShown && visible === this.#last
    this.#last = ''
    return isSame
  }

  #take(): void {
    const visible = this.#read()
    if (visible !== '' && visible !== this.#last) this.#show(visible)
    this.#last = visible
    this.#timer.set(SNAPSHOT_EVERY_MS, () => this.#take())
  }
}
