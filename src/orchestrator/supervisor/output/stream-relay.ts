import type { Readable } from 'node:stream'
import { LineSplitter, type LinesHandler } from './lines.ts'

/** A place that lines go to, which may be full for a while. */
export interface Room {
  readonly isFull: boolean
  /** Calls `resume` once, as soon as there is room again. */
  whenRoom(resume: () => void): void
}

/** Full as long as one of them is. */
export function roomInAll(rooms: readonly Room[]): Room {
  const firstFull = () => rooms.find((room) => room.isFull)
  return {
    get isFull() {
      return firstFull() !== undefined
    },
    whenRoom: (resume) => {
      const full = firstFull()
      if (full === undefined) resume()
      else full.whenRoom(resume)
    },
  }
}

/** Turns of the event loop without data, after a child's exit, that show that all it wrote has been read. */
const QUIET_TURNS = 2
/** Turns after which an exit is reported although a grandchild goes on writing. */
const MOST_TURNS = 32

/**
 * Brings the lines of one stream of one child to where they go. The child is slowed when that is full. The stream may outlive
 * the child: a grandchild can hold it open.
 */
export class StreamRelay {
  /** Resolves when the stream has ended and its last line is on its way. */
  readonly ended: Promise<void>
  readonly #source: Readable
  readonly #room: Room
  readonly #splitter: LineSplitter
  #hasEnded = false
  #held = false
  #childGone = false
  #chunks = 0

  constructor(source: Readable, room: Room, write: LinesHandler) {
    this.#source = source
    this.#room = room
    this.#splitter = new LineSplitter(write)
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

  /** Chunks read so far: tells a stream that flows from one that nobody writes to. */
  get chunks(): number {
    return this.#chunks
  }

  /**
   * To be called when the child has exited: resolves as soon as what it wrote has been read, a last line without a newline
   * included, or at once if the reader is slow. Takes a few turns of the event loop and no time.
   */
  async childExited(): Promise<void> {
    this.#childGone = true
    let quiet = 0
    for (let turn = 0; turn < MOST_TURNS && !this.#hasEnded && !this.#held; turn++) {
      const before = this.#chunks
      await new Promise((resolve) => setImmediate(resolve))
      quiet = this.#chunks === before ? quiet + 1 : 0
      if (quiet < QUIET_TURNS) continue
      this.#splitter.end()
      return
    }
  }

  /** Reads no more, whoever still holds the other end. */
  abandon(): void {
    this.#source.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks++
    this.#splitter.push(chunk)
    if (!this.#room.isFull) return
    this.#source.pause()
    if (this.#held) return
    this.#held = true
    this.#room.whenRoom(() => {
      this.#held = false
      this.#source.resume()
      if (this.#childGone) void this.childExited()
    })
  }
}
