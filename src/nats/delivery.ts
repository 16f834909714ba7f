import type { Msg, Publisher } from '@nats-io/nats-core'
import { MsgHdrsImpl, MsgImpl } from '@nats-io/nats-core/internal'
import { NANOS_PER_MS } from './streams.ts'

export interface Delivery {
  readonly subject: string
  readonly body: Uint8Array
  header(name: string): string | undefined
  /** Returns the first value of each header. */
  headers(): Readonly<Record<string, string>>
  readonly streamSequence: number
  /** 1 on the first delivery. */
  readonly attempt: number
  /** Time at which JetStream stored it, in milliseconds since the epoch. */
  readonly storedAtMs: number
}

/** A delivery whose headers are available as NATS sends them, to be stored without decoding them. */
export interface EncodedDelivery extends Delivery {
  /** `NATS/1.0`, and a line for each header; empty if there are none. */
  readonly headerBlock: Uint8Array
}

/** A delivery that a durable consumer handles. */
export interface PulledDelivery extends EncodedDelivery {
  /** The number of messages that the consumer had not delivered yet. */
  readonly pending: number
}

export interface MessageFailure {
  /**
   * `retry`: the message is redelivered with increasing delays; after `maxDeliver` attempts it becomes a dead letter.
   * `dead_letter`: it can never be processed.
   */
  readonly kind: 'retry' | 'dead_letter'
  readonly reason: string
  /** The class of the reason, a label of metrics; `internal` by default. */
  readonly cause?: string
  /** The organization whose quota of dead letters applies. */
  readonly organizationId?: string | undefined
}

export type MessageResult = { readonly kind: 'ack' } | MessageFailure

const ACK = Buffer.from('+ACK')
const NAK = Buffer.from('-NAK')
const TERM = Buffer.from('+TERM')
const WORKING = Buffer.from('+WPI')
/** The number of dots in a reply subject; subjects with a domain and an account have more. */
const DOTS_OF_PLAIN_REPLY = 8

/** The headers of a message, decoded when they are read. */
export class Headers {
  readonly block: Uint8Array
  #text: string | undefined

  constructor(block: Uint8Array) {
    this.block = block
  }

  /** Returns the first value of a header. */
  get(name: string): string | undefined {
    if (this.block.length === 0) return undefined
    this.#text ??= textOf(this.block)
    const start = this.#text.indexOf(`\r\n${name}:`)
    if (start < 0) return undefined
    const value = start + name.length + 3
    return this.#text.slice(value, this.#text.indexOf('\r\n', value)).trim()
  }

  all(): Readonly<Record<string, string>> {
    if (this.block.length === 0) return {}
    const headers = MsgHdrsImpl.decode(this.block)
    return Object.fromEntries(headers.keys().map((name) => [name, headers.get(name)]))
  }
}

/**
 * One delivery of a message by a durable consumer, with JetStream's acknowledgement protocol. The metadata is in the reply
 * subject: `$JS.ACK.<stream>.<consumer>.<attempt>.<stream sequence>.<consumer sequence>.<time in ns>.<pending>`, on some servers
 * with a domain and an account after `ACK` and a token at the end.
 *
 * Thousands of deliveries can be buffered, so it keeps only the necessary parts of the client's message.
 */
export class PulledMessage implements PulledDelivery {
  readonly streamSequence: number
  readonly attempt: number
  readonly storedAtMs: number
  readonly #publisher: Publisher
  readonly #reply: string
  readonly #subject: Uint8Array
  /** The headers, followed by the body. */
  readonly #bytes: Uint8Array
  readonly #headerBytes: number
  #headers: Headers | undefined
  #answered = false
  #aged = false

  constructor(message: Msg) {
    if (!(message instanceof MsgImpl)) throw new TypeError('expected a message of the NATS client library')
    this.#publisher = message.publisher
    this.#subject = message._msg.subject
    this.#bytes = message._rdata
    this.#headerBytes = Math.max(0, message._msg.hdr)
    this.#reply = message._msg.reply === undefined ? '' : message.reply
    const dots = dotsOf(this.#reply)
    const first = firstNumberOf(dots)
    this.attempt = numberAfter(this.#reply, dots, first)
    this.streamSequence = numberAfter(this.#reply, dots, first + 1)
    this.storedAtMs = Math.floor(numberAfter(this.#reply, dots, first + 3) / NANOS_PER_MS)
  }

  /** The number of this delivery among all deliveries of the durable consumer. */
  get consumerSequence(): number {
    const dots = dotsOf(this.#reply)
    return numberAfter(this.#reply, dots, firstNumberOf(dots) + 2)
  }

  get pending(): number {
    const dots = dotsOf(this.#reply)
    return numberAfter(this.#reply, dots, firstNumberOf(dots) + 4)
  }

  get subject(): string {
    return textOf(this.#subject)
  }

  /** The size as JetStream counts it towards `max_bytes` of a pull: subject, reply subject, headers and body. */
  get bytes(): number {
    return this.#subject.length + this.#reply.length + this.#bytes.length
  }

  get body(): Uint8Array {
    return this.#headerBytes === 0 ? this.#bytes : this.#bytes.subarray(this.#headerBytes)
  }

  get headerBlock(): Uint8Array {
    return this.#bytes.subarray(0, this.#headerBytes)
  }

  header(name: string): string | undefined {
    return this.#decoded().get(name)
  }

  headers(): Readonly<Record<string, string>> {
    return this.#decoded().all()
  }

  ack(): void {
    this.#answer(ACK)
  }

  /** Requests redelivery, immediately or after the delay. */
  nak(delayMs = 0): void {
    this.#answer(delayMs === 0 ? NAK : Buffer.from(`-NAK ${JSON.stringify({ delay: delayMs * NANOS_PER_MS })}`))
  }

  /** Ends delivery of a message that was not handled. */
  term(): void {
    this.#answer(TERM)
  }

  /** Extends the deadline; called at a fraction of it, it restarts the deadline from the second call on. */
  extendAckDeadline(): void {
    if (this.#answered) return
    if (this.#aged) this.#publisher.publish(this.#reply, WORKING)
    this.#aged = true
  }

  #answer(answer: Uint8Array): void {
    if (this.#answered) return
    this.#answered = true
    this.#publisher.publish(this.#reply, answer)
  }

  #decoded(): Headers {
    this.#headers ??= new Headers(this.headerBlock)
    return this.#headers
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

/** Returns the index of the dot before the first number of a reply subject. */
function firstNumberOf(dots: readonly number[]): number {
  return dots.length > DOTS_OF_PLAIN_REPLY ? 5 : 3
}

function numberAfter(reply: string, dots: readonly number[], dot: number): number {
  return Number(reply.slice((dots[dot] ?? 0) + 1, dots[dot + 1]))
}
