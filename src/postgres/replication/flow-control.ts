/** How much may be read ahead of what is stored. */
export interface FlowLimits {
  readonly maxMessages: number
  /** Of the server's messages, as received. */
  readonly maxBytes: number
}

/** What is in flight, and whether to read on: not beyond a limit, and again once half of each is free. */
export class FlowControl {
  readonly #limits: FlowLimits
  #messages = 0
  #bytes = 0
  #paused = false

  constructor(limits: FlowLimits) {
    this.#limits = limits
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  get paused(): boolean {
    return this.#paused
  }

  /** A message is in flight. Returns true when reading has to pause now. */
  add(bytes: number): boolean {
    this.#messages += 1
    this.#bytes += bytes
    if (this.#paused || (this.#messages < this.#limits.maxMessages && this.#bytes < this.#limits.maxBytes)) return false
    this.#paused = true
    return true
  }

  /** A message is in flight no more. Returns true when reading may resume now. */
  remove(bytes: number): boolean {
    this.#messages -= 1
    this.#bytes -= bytes
    if (!this.#paused || this.#messages > this.#limits.maxMessages / 2 || this.#bytes > this.#limits.maxBytes / 2) {
      return false
    }
    this.#paused = false
    return true
  }
}

/**
 * What a silence means: `ask` for a sign of life after a third of the limit, `dead` after all of it. While reading is paused
 * nothing can be heard, so nothing follows.
 */
export function livenessOf(silentMs: number, limitMs: number, paused: boolean): 'alive' | 'ask' | 'dead' {
  if (paused || silentMs < limitMs / 3) return 'alive'
  return silentMs < limitMs ? 'ask' : 'dead'
}

/** Half a second at first with the default of ten, doubled each time, up to `maxMs`; a random part keeps instances apart. */
export function retryDelayMs(attempt: number, maxMs: number, random: () => number): number {
  const delay = Math.min(maxMs, (maxMs / 20) * 2 ** (attempt - 1))
  return Math.round(delay * (0.75 + random() / 4))
}
