/** A message that another one has to follow. */
export interface Predecessor {
  /** Its place in the order of the calls. */
  readonly number: number
  readonly messageId: string
}

/** Finding the stream of a subject anew for each message costs more than all else here. */
const MOST_SUBJECTS = 1000

/**
 * Which message each one has to follow in its stream. A stream that refuses a message for now may have room for the one behind
 * it; with `Nats-Expected-Last-Msg-Id` it takes that one only when the one before was stored, and right before it. A message
 * goes without as soon as the one before is acknowledged, for then all before it are stored, and a message of somebody else in
 * the stream never bars the way for good. JetStream looks for duplicates before it looks at this, so what is sent again does
 * no harm.
 */
export class PublishChain {
  readonly #streamOf: (subject: string) => string
  readonly #streams = new Map<string, string>()
  readonly #newest = new Map<string, Predecessor>()

  /** Subjects for which `streamOf` says the same are stored in one order, whether they are of one stream or not. */
  constructor(streamOf: (subject: string) => string) {
    this.#streamOf = streamOf
  }

  /** Puts a message behind those before it. Returns the one right before it; undefined if it is the first. */
  add(subject: string, message: Predecessor): Predecessor | undefined {
    const stream = this.#streamFor(subject)
    const before = this.#newest.get(stream)
    this.#newest.set(stream, message)
    return before
  }

  #streamFor(subject: string): string {
    let stream = this.#streams.get(subject)
    if (stream !== undefined) return stream
    stream = this.#streamOf(subject)
    if (this.#streams.size >= MOST_SUBJECTS) this.#streams.clear()
    this.#streams.set(subject, stream)
    return stream
  }
}
