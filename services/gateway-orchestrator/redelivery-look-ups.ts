import { setTimeout as sleep } from 'node:timers/promises'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { MqttOrigin } from '../../src/mqtt/message.ts'
import { RECEIVE_MAXIMUM, SESSION_EXPIRY_SECS } from '../../src/mqtt/packets.ts'
import { Fifo } from '../../src/domain/fifo.ts'
import { readNewestHeaders } from '../../src/nats/newest-messages.ts'
import { decodeStoredDelivery, MQTT_DELIVERY_HEADER, type MqttDelivery } from './mqtt-delivery.ts'

/**
 * The stored messages of a device that a broker can deliver again: a session has at most `RECEIVE_MAXIMUM` messages that are received
 * and not acknowledged. Most were stored within `recent`; but messages are acknowledged in order, so one that waits for NATS or a look-up
 * delays the acknowledgements of those that are stored, also over several connections. `all` is the time for which a broker keeps a session.
 */
export type Span = 'recent' | 'all'
const SPANS = ['recent', 'all'] as const
const SPAN_MS: Readonly<Record<Span, number>> = { recent: 60_000, all: SESSION_EXPIRY_SECS * 1000 }
/** The number of look-ups at the same time; further ones wait in their order. */
const PARALLEL = 64
/** The number of stored deliveries that are kept, about 10 MB; beyond it all are forgotten and read again when needed. */
const MAX_KEPT = 65_536
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5000

type LookUp = Promise<readonly MqttDelivery[]>

/** The look-ups of one connection by span and subject. */
class Connection {
  /** Those since the broker last sent a new message. */
  readonly known = new Map<string, LookUp>()
  readonly pending = new Map<string, LookUp>()
}

/** Reads the newest stored deliveries of devices, once for each device, span and connection. */
export class RedeliveryLookUps {
  readonly #client: NatsClient
  readonly #stream: string
  readonly #spanMs: Readonly<Record<Span, number>>
  #connections = new WeakMap<MqttOrigin, Connection>()
  readonly #waiting = new Fifo<() => void>()
  #running = 0
  #kept = 0

  constructor(client: NatsClient, stream: string, recentMs = SPAN_MS.recent) {
    this.#client = client
    this.#stream = stream
    this.#spanMs = { ...SPAN_MS, recent: recentMs }
  }

  /** Returns the newest deliveries that the stream has on a subject; repeats the request until JetStream answers. */
  newest(origin: MqttOrigin, subject: string, span: Span): LookUp {
    const connection = this.#connections.get(origin) ?? new Connection()
    this.#connections.set(origin, connection)
    const key = keyOf(span, subject)
    const known = connection.known.get(key)
    if (known !== undefined) return known
    const lookUp = this.#lookUp(subject, span)
    connection.known.set(key, lookUp)
    connection.pending.set(key, lookUp)
    const settle = (): void => void connection.pending.delete(key)
    lookUp.then(settle, settle)
    return lookUp
  }

  /**
   * Returns a look-up of a subject that has not ended: a new message waits for it, and then for the next, so that it is not stored before
   * those of its device that are delivered again. Forgets the others, because a broker first delivers again and then sends new messages.
   */
  pending(origin: MqttOrigin, subject: string): LookUp | undefined {
    const connection = this.#connections.get(origin)
    if (connection === undefined) return undefined
    connection.known.clear()
    if (connection.pending.size === 0) this.#connections.delete(origin)
    return SPANS.map((span) => connection.pending.get(keyOf(span, subject))).find((lookUp) => lookUp !== undefined)
  }

  async #lookUp(subject: string, span: Span): LookUp {
    if (this.#running >= PARALLEL) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running += 1
    try {
      const found = await this.#readUntilAnswered(subject, span)
      this.#keep(found.length + 1)
      return found
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }

  /** Counts all since the last time, because what is forgotten is not known. */
  #keep(count: number): void {
    this.#kept += count
    if (this.#kept <= MAX_KEPT) return
    this.#connections = new WeakMap()
    this.#kept = 0
  }

  async #readUntilAnswered(subject: string, span: Span): LookUp {
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)) {
      try {
        return await this.#read(subject, span)
      } catch (error) {
        if (this.#client.connection.isClosed()) throw error
      }
      await sleep(delayMs, undefined, { ref: false })
    }
  }

  async #read(subject: string, span: Span): LookUp {
    const newest = { count: RECEIVE_MAXIMUM, withinMs: this.#spanMs[span] }
    const headers = await readNewestHeaders(this.#client, { stream: this.#stream, subject, ...newest })
    // A replayed message is a copy of one that was delivered.
    const originals = headers.filter((each) => !each.has(REPLAY_HEADERS.of))
    return originals.flatMap((each) => decodeStoredDelivery(each.get(MQTT_DELIVERY_HEADER)) ?? [])
  }
}

function keyOf(span: Span, subject: string): string {
  return `${span} ${subject}`
}
