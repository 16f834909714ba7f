import type { Readable } from 'node:stream'

/** Receives the bytes of a stream and makes lines of them. */
export interface Splitter {
  push(chunk: Buffer): void
  /** Emits the last line if it has no newline. */
  end(): void
}

/** A destination of lines that can be temporarily full. */
export interface BackPressure {
  readonly isFull: boolean
  /** Calls `resume` once, as soon as it is not full. */
  onceDrained(resume: () => void): void
}

/** Returns a destination that is full as long as one of the destinations is full. */
export function combine(destinations: readonly BackPressure[]): BackPressure {
  const firstFull = () => destinations.find(({ isFull }) => isFull)
  return {
    get isFull() {
      return firstFull() !== undefined
    },
    onceDrained: (resume) => {
      const full = firstFull()
      if (full === undefined) resume()
      else full.onceDrained(resume)
    },
  }
}

/** The number of event loop turns without data after which all output of an exited child has been read. */
const QUIET_TURNS = 2
/** The number of turns after which the exit is reported even if a grandchild is still writing. */
const MAX_TURNS = 32

/**
 * Reads one stream of one child and passes its lines on. Pauses reading while the destination is full. A grandchild can hold
 * the stream open after the child has exited.
 */
export class StreamRelay {
  /** Resolves when the stream has ended and its last line was passed on. */
  readonly ended: Promise<void>
  readonly #source: Readable
  readonly #pressure: BackPressure
  readonly #splitter: Splitter
  #hasEnded = false
  #isPaused = false
  #childHasExited = false
  #chunks = 0

  constructor(source: Readable, pressure: BackPressure, splitter: Splitter) {
    this.#source = source
    this.#pressure = pressure
    this.#splitter = splitter
    source.on('data', this.#onData)
    this.ended = new Promise((resolve) => {
      const end = () => {
        if (!this.#hasEnded) this.#splitter.end()
        this.#hasEnded = true
        resolve()
      }
      source.once('end', end).once('close', end).on('error', end)
    })
  }

  /** Number of chunks read so far; a change of it is progress. */
  get chunks(): number {
    return this.#chunks
  }

  /**
   * Reads the remaining output; call it when the child has exited. Resolves within a few event loop turns, when all output has
   * been read, including a last line without a newline, or immediately if the destination is full.
   */
  async childExited(): Promise<void> {
    this.#childHasExited = true
    let quiet = 0
    for (let turn = 0; turn < MAX_TURNS && !this.#hasEnded && !this.#isPaused; turn++) {
      const before = this.#chunks
      await new Promise((resolve) => setImmediate(resolve))
      quiet = this.#chunks === before ? quiet + 1 : 0
      if (quiet < QUIET_TURNS) continue
      this.#splitter.end()
      return
    }
  }

  /** Stops reading, even if a grandchild holds the stream open. */
  abandon(): void {
    this.#source.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks++
    this.#splitter.push(chunk)
    if (!this.#pressure.isFull) return
    this.#source.pause()
    if (this.#isPaused) return
    this.#isPaused = true
    this.#pressure.onceDrained(() => {
      this.#isPaused = false
      this.#source.resume()
      if (this.#childHasExited) void this.childExited()
    })
  }
}
