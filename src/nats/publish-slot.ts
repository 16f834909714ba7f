import { headerBlock, headerLines } from './publication.ts'
import type { Publication, Stored } from './publication.ts'

/** One message between the call that published it and its acknowledgement. */
export class PublishSlot {
  readonly publication: Publication
  /** Place in the order of the calls. */
  readonly number: number
  /** `performance.now()` of the last sending. */
  sentAt = 0
  settled = false
  readonly #headerLines: string
  readonly stored: Promise<Stored>
  #resolve: (stored: Stored) => void = () => {}
  #reject: (reason: unknown) => void = () => {}
  #offAbort: (() => void) | undefined

  /** Throws a PublishError for what cannot be sent. */
  constructor(publication: Publication, number: number) {
    this.publication = publication
    this.#headerLines = headerLines(publication)
    this.number = number
    this.stored = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get bytes(): number {
    return this.publication.body.length
  }

  /** The headers as they are sent; `follows` is the id of the message that this one is to be stored right behind. */
  headers(follows: string | undefined): Buffer {
    return headerBlock(this.#headerLines, follows)
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
