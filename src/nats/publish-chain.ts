import type { PublishSlot } from './publish-slot.ts'

/**
 * Which message each one has to follow in its stream. A stream that refuses a message for now may have room for the one behind
 * it; with `Nats-Expected-Last-Msg-Id` it takes that one only when the one before was stored, and right before it. A message
 * goes without when nothing sent before it to that stream is unacknowledged, so that a message of somebody else in the stream
 * never bars the way for good. JetStream looks for duplicates before it looks at this, so what is sent again does no harm.
 */
export class PublishChain {
  readonly #streamOf: (subject: string) => string
  readonly #newest = new Map<string, PublishSlot>()

  /** Subjects for which `streamOf` says the same are stored in one order, whether they are of one stream or not. */
  constructor(streamOf: (subject: string) => string) {
    this.#streamOf = streamOf
  }

  /** The id of the message that this one, which is about to be sent, has to follow; undefined: any. */
  link(slot: PublishSlot): string | undefined {
    const stream = this.#streamOf(slot.publication.subject)
    const before = this.#newest.get(stream)
    this.#newest.set(stream, slot)
    return before === undefined || before.settled ? undefined : before.publication.messageId
  }

  /** To be called before messages are sent again, which starts with the oldest. */
  restart(): void {
    this.#newest.clear()
  }
}
