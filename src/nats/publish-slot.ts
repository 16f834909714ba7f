import { encodeHeaders, withoutExpectation } from './publication.ts'
import type { Publication, Stored } from './publication.ts'
import type { Predecessor } from './publish-chain.ts'

/** One message between the call that published it and its acknowledgement. */
export class PublishSlot {
  readonly publication: Publication
  /** Place in the order of the calls. */
  readonly number: number
  /** The message that this one has to be stored right behind, as long as that one is in flight. */
  readonly follows: Predecessor | undefined
  /** `performance.now()` of the last sending. */
  sentAt = 0
  settled = false
  readonly #headers: Buffer
  readonly stored: Promise<Stored>
  #resolve: (stored: Stored) => void = () => {}
  #reject: (reason: unknown) => void = () => {}
  #offAbort: (() => void) | undefined

  /** Throws a PublishError for what cannot be sent. */
  constructor(publication: Publication, number: number, follows?: Predecessor) {
    this.publication = publication
    this.#headers = encodeHeaders(publication, follows?.messageId)
    this.follows = follows
    this.number = number
    this.stored = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get bytes(): number {
    return this.publication.body.length
  }

  /** As they are sent, with the expectation of what it follows or without. */
  headers(isExpectant: boolean): Buffer {
    if (isExpectant || this.follows === undefined) return this.#headers
    return withoutExpectation(this.#headers, this.follows.messageId)
  }

  /** Calls `listener` when the signal aborts before the slot is settled. */
  onAbort(signal: AbortSignal, listener: () => void): void {
    signal.addEventListener('abort', listener, { once: true })
    this.#offAbort = () => signal.removeEventListener('abort', listener)
  }

  resolve(stored: Stored): void {
    this.#settle()
    this.#resolve(stored)
  }

  reject(reason: unknown): void {
    this.#settle()
    this.#reject(reason)
  }

  #settle(): void {
    this.settled = true
    this.#offAbort?.()
  }
}
