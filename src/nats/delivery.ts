import type { Msg, Publisher } from '@nats-io/nats-core'
import { MsgHdrsImpl, MsgImpl } from '@nats-io/nats-core/internal'

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

const ACK = Buffer.from('+ACK')
const NAK = Buffer.from('-NAK')
const TERM = Buffer.from('+TERM')
const WORKING = Buffer.from('+WPI')
const NANOS_PER_MS = 1_000_000
/** With a domain and an account in front there are more. */
const DOTS_OF_PLAIN_REPLY = 8

/**
 * One delivery of a message by a durable consumer, with the answers JetStream understands. The reply subject says what it is:
 * `$JS.ACK.<stream>.<consumer>.<attempt>.<stream sequence>.<consumer sequence>.<time in ns>.<pending>`; with a domain and an
 * account in front, and a token behind, on servers that have them.
 *
 * Thousands of these wait for their batch at a time: it keeps no more of the client's message than it needs.
 */
export class PulledMessage implements Delivery {
  readonly streamSequence: number
  readonly attempt: number
  readonly storedAtMs: number
  readonly #publisher: Publisher
  readonly #reply: string
  readonly #subject: Uint8Array
  /** The headers, and the body behind them. */
  readonly #bytes: Uint8Array
  /** How many of them are headers. */
  readonly #headerBytes: number
  #headerText: string | undefined
  #answered = false
  #isOld = false

  constructor(message: Msg) {
    if (!(message instanceof MsgImpl)) throw new TypeError('a message that is not of this client')
    this.#publisher = message.publisher
    this.#subject = message._msg.subject
    this.#bytes = message._rdata
    this.#headerBytes = Math.max(0, message._msg.hdr)
    this.#reply = message._msg.reply === undefined ? '' : message.reply
    const dots = dotsOf(this.#reply)
    const first = dots.length > DOTS_OF_PLAIN_REPLY ? 5 : 3
    const numberBehind = (dot: number): number => Number(this.#reply.slice((dots[dot] ?? 0) + 1, dots[dot + 1]))
    this.attempt = numberBehind(first)
    this.streamSequence = numberBehind(first + 1)
    this.storedAtMs = Math.floor(numberBehind(first + 3) / NANOS_PER_MS)
  }

  get subject(): string {
    return textOf(this.#subject)
  }

  get body(): Uint8Array {
    return this.#headerBytes === 0 ? this.#bytes : this.#bytes.subarray(this.#headerBytes)
  }

  header(name: string): string | undefined {
    if (this.#headerBytes === 0) return undefined
    this.#headerText ??= textOf(this.#headerBlock())
    const start = this.#headerText.indexOf(`\r\n${name}:`)
    if (start < 0) return undefined
    const value = start + name.length + 3
    return this.#headerText.slice(value, this.#headerText.indexOf('\r\n', value)).trim()
  }

  /** All headers, the first value of each. */
  headers(): Readonly<Record<string, string>> {
    if (this.#headerBytes === 0) return {}
    const headers = MsgHdrsImpl.decode(this.#headerBlock())
    return Object.fromEntries(headers.keys().map((name) => [name, headers.get(name)]))
  }

  /** Done: it does not come again. */
  ack(): void {
    this.#answer(ACK)
  }

  /** To come again, after the delay or at once. */
  nak(delayMs = 0): void {
    this.#answer(delayMs === 0 ? NAK : Buffer.from(`-NAK ${JSON.stringify({ delay: delayMs * NANOS_PER_MS })}`))
  }

  /** Never to come again, though it was not done. */
  term(): void {
    this.#answer(TERM)
  }

  /** A part of the acknowledgement deadline is over: starts it anew, but for one that has just come. */
  grow(): void {
    if (this.#answered) return
    if (this.#isOld) this.#publisher.publish(this.#reply, WORKING)
    this.#isOld = true
  }

  #answer(answer: Uint8Array): void {
    if (this.#answered) return
    this.#answered = true
    this.#publisher.publish(this.#reply, answer)
  }

  #headerBlock(): Uint8Array {
    return this.#bytes.subarray(0, this.#headerBytes)
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

function dotsOf(subject: string): readonly number[] {
  const dots: number[] = []
  for (let dot = subject.indexOf('.'); dot >= 0; dot = subject.indexOf('.', dot + 1)) dots.push(dot)
  return dots
}
