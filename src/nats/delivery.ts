import type { Msg } from '@nats-io/nats-core'

/** A message as a handler sees it. */
export interface Delivery {
  readonly subject: string
  readonly body: Uint8Array
  /** The first value of a header, or undefined. */
  header(name: string): string | undefined
  readonly streamSequence: number
  /** 1 on the first delivery. */
  readonly attempt: number
  /** When JetStream stored it, in milliseconds since the epoch. */
  readonly storedAtMs: number
}

/** The handler's answer for one message. */
export type Verdict =
  | { readonly kind: 'ack' }
  /** Comes again, later each time; after `maxDeliver` attempts it goes to the dead letters with this reason. */
  | { readonly kind: 'retry'; readonly reason: string }
  /** Can never succeed. */
  | { readonly kind: 'dead_letter'; readonly reason: string }

/** An answer, or one to come. */
export type PendingVerdict = Verdict | Promise<Verdict>

const ACK = '+ACK'
const TERM = '+TERM'
const WORKING = '+WPI'
const NANOS_PER_MS = 1_000_000

/**
 * One delivery of a message by a durable consumer, with the answers JetStream understands. The reply subject says what it is:
 * `$JS.ACK.<stream>.<consumer>.<attempt>.<stream sequence>.<consumer sequence>.<time in ns>.<pending>`; with a domain and an
 * account in front, and a token behind, on servers that have them.
 */
export class PulledMessage implements Delivery {
  readonly #message: Msg
  readonly streamSequence: number
  readonly attempt: number
  readonly storedAtMs: number
  #answered = false
  #isOld = false

  constructor(message: Msg) {
    this.#message = message
    const tokens = message.reply?.split('.') ?? []
    const first = tokens.length > 9 ? 6 : 4
    this.attempt = Number(tokens[first])
    this.streamSequence = Number(tokens[first + 1])
    this.storedAtMs = Math.floor(Number(tokens[first + 3]) / NANOS_PER_MS)
  }

  get subject(): string {
    return this.#message.subject
  }

  get body(): Uint8Array {
    return this.#message.data
  }

  header(name: string): string | undefined {
    const { headers } = this.#message
    return headers?.has(name) === true ? headers.get(name) : undefined
  }

  /** All headers, the first value of each. */
  headers(): Readonly<Record<string, string>> {
    const { headers } = this.#message
    if (headers === undefined) return {}
    return Object.fromEntries(headers.keys().map((name) => [name, headers.get(name)]))
  }

  /** Done: it does not come again. */
  ack(): void {
    this.#answer(ACK)
  }

  /** To come again, after the delay or at once. */
  nak(delayMs = 0): void {
    this.#answer(delayMs === 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay: delayMs * NANOS_PER_MS })}`)
  }

  /** Never to come again, though it was not done. */
  term(): void {
    this.#answer(TERM)
  }

  /** A part of the acknowledgement deadline is over: starts it anew, but for one that has just come. */
  grow(): void {
    if (this.#answered) return
    if (this.#isOld) this.#message.respond(WORKING)
    this.#isOld = true
  }

  #answer(answer: string): void {
    if (this.#answered) return
    this.#answered = true
    this.#message.respond(answer)
  }
}
