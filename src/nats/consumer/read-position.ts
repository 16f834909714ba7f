/** The sequences of one delivery. */
export interface SequencedDelivery {
  readonly streamSequence: number
  /** The number of this delivery among all deliveries of the durable consumer, including redeliveries. */
  readonly consumerSequence: number
  readonly attempt: number
}

/** Messages that a stream dropped. The range can contain messages that were not dropped, if several instances share the consumer. */
export interface DroppedMessages {
  readonly first: number
  readonly last: number
  readonly count: number
}

/**
 * Finds the messages that a stream drops before a durable consumer, whose filter covers the stream, has received them. The stream
 * sequences of first deliveries have no other gaps, except for deliveries to other instances, which show as gaps of the consumer
 * sequences. With one instance the count is exact; with several, each counts the same messages, and a redelivery to another instance
 * can hide one.
 */
export class ReadPosition {
  /** All messages up to this stream sequence were delivered, or dropped and counted. */
  #accounted = 0
  /** The stream sequence of the last counted message. */
  #counted = 0
  /** The newest delivery to this instance. Its consumer sequence is parsed only for a gap. */
  #newest: Pick<SequencedDelivery, 'consumerSequence'> = { consumerSequence: 0 }
  /** Deliveries to other instances since the last first delivery to this instance. */
  #others = 0
  #dropped: DroppedMessages | undefined

  /**
   * Continues at the delivered position of the consumer. The messages after `floor`, up to which all were acknowledged, that
   * are no longer in the stream count as dropped.
   */
  start(floor: number, firstInStream: number, delivered: Omit<SequencedDelivery, 'attempt'>): void {
    const first = Math.max(floor, this.#counted) + 1
    this.#drop(first, firstInStream - 1, firstInStream - first)
    this.#accounted = Math.max(delivered.streamSequence, firstInStream - 1)
    this.#newest = delivered
    this.#others = 0
  }

  received(delivery: SequencedDelivery): void {
    const isNext = delivery.attempt === 1 && delivery.streamSequence === this.#accounted + 1
    // Hot path: nearly every delivery is the next one.
    if (!isNext) {
      this.#others += Math.max(0, delivery.consumerSequence - this.#newest.consumerSequence - 1)
    }
    this.#newest = delivery
    if (delivery.attempt > 1 || delivery.streamSequence <= this.#accounted) return
    const first = this.#accounted + 1
    const last = delivery.streamSequence - 1
    if (!isNext) this.#drop(first, last, last - first + 1 - this.#others)
    this.#accounted = delivery.streamSequence
    this.#others = 0
  }

  /** Compares the stream's first sequence with the position of the consumer. */
  observe(firstInStream: number, deliveredStreamSequence: number): void {
    const first = Math.max(this.#accounted, deliveredStreamSequence) + 1
    if (first >= firstInStream) return
    this.#drop(first, firstInStream - 1, firstInStream - first)
    this.#accounted = firstInStream - 1
    this.#others = 0
  }

  /**
   * Returns the messages dropped since the previous call. Messages that the stream still has do not count: a killed server repeats
   * consumer sequences, so that deliveries to other instances look like dropped messages.
   */
  takeDropped(firstInStream: number): DroppedMessages | undefined {
    const dropped = this.#dropped
    this.#dropped = undefined
    if (dropped === undefined || dropped.first >= firstInStream) return undefined
    const { first, last, count } = dropped
    return { first, last: Math.min(last, firstInStream - 1), count: Math.min(count, firstInStream - first) }
  }

  #drop(first: number, last: number, count: number): void {
    if (count <= 0) return
    this.#counted = last
    this.#dropped = { first: this.#dropped?.first ?? first, last, count: (this.#dropped?.count ?? 0) + count }
  }
}
