/** Looks now and then whether the oldest message waits too long for its acknowledgement; one timer for all messages. */
export class AckDeadline {
  readonly #everyMs: number
  readonly #check: () => void
  #timer: NodeJS.Timeout | undefined

  /** `check` is called once a quarter of `ackTimeoutMs` after `watch`. */
  constructor(ackTimeoutMs: number, check: () => void) {
    this.#everyMs = ackTimeoutMs / 4
    this.#check = check
  }

  watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#check()
    }, this.#everyMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
