import type { PulledMessage } from '../delivery.ts'
import type { ConsumerOptions } from './consumer-options.ts'

/** Logs lines about the messages of a consumer, with their ids. */
export class ConsumerLog {
  readonly #options: Pick<ConsumerOptions, 'client' | 'stream' | 'durable'>
  /** The messages that failed in this turn of the event loop. */
  #failed: { readonly message: PulledMessage; readonly text: string }[] = []

  constructor(options: Pick<ConsumerOptions, 'client' | 'stream' | 'durable'>) {
    this.#options = options
  }

  warn(message: PulledMessage, text: string): void {
    this.#options.client.logger.warn(this.#idsOf(message), text)
  }

  /** Logs one line per turn of the event loop, for the first message: there can be many messages with one cause. */
  warnPerTurn(message: PulledMessage, text: string): void {
    if (this.#failed.push({ message, text }) === 1) setImmediate(() => this.#flush())
  }

  #flush(): void {
    const failed = this.#failed
    this.#failed = []
    const [first] = failed
    if (first === undefined) return
    this.#options.client.logger.warn({ ...this.#idsOf(first.message), messages: failed.length }, first.text)
  }

  #idsOf({ subject, streamSequence, attempt }: PulledMessage): Record<string, unknown> {
    const { stream, durable } = this.#options
    return { stream, durable, subject, stream_sequence: streamSequence, attempt }
  }
}
