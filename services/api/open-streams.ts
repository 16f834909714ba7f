/** The streams that would stay open for ever: a shutdown ends them, because it waits for everything that is open. */
export class OpenStreams {
  readonly #ends = new Set<() => void>()
  #ending = false

  /** Call the returned function when the stream has ended by itself. */
  opened(end: () => void): () => void {
    this.#ends.add(end)
    if (this.#ending) end()
    return () => this.#ends.delete(end)
  }

  /** Ends them all, and those that open from now on. */
  endAll(): void {
    this.#ending = true
    for (const end of this.#ends) end()
  }
}
