import { setTimeout as sleep } from 'node:timers/promises'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { MqttOrigin } from '../../src/mqtt/message.ts'
import { RECEIVE_MAXIMUM } from '../../src/mqtt/packets.ts'
import { Fifo } from '../../src/domain/fifo.ts'
import { readNewestHeaders } from '../../src/nats/newest-messages.ts'
import { decodeStoredDelivery, MQTT_DELIVERY_HEADER, type MqttDelivery } from './mqtt-delivery.ts'

/**
 * The stored messages of a device that a broker can deliver again: a session has at most so many messages that are received and not
 * acknowledged (receive maximum), and they were stored within this time, because what keeps the stream from storing one message
 * keeps it from storing the next.
 */
const RECENT_MS = 60_000
/** The number of look-ups at the same time; further ones wait in their order. */
const PARALLEL = 64
/** The number of stored deliveries that are kept, about 10 MB; beyond it all are forgotten and read again when needed. */
const MAX_KEPT = 65_536
const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5000

type LookUp = Promise<readonly MqttDelivery[]>

/** The look-ups of one connection by subject. */
class Connection {
  /** Those since the broker last sent a new message. */
  readonly known = new Map<string, LookUp>()
  readonly pending = new Map<string, LookUp>()
}

/** Reads the newest stored deliveries of devices, once for each device and connection. */
export class RedeliveryLookUps {
  readonly #client: NatsClient
  readonly #stream: string
  readonly #recentMs: number
  #connections = new WeakMap<MqttOrigin, Connection>()
  readonly #waiting = new Fifo<() => void>()
  #running = 0
  #kept = 0

  constructor(client: NatsClient, stream: string, recentMs = RECENT_MS) {
    this.#client = client
    this.#stream = stream
    this.#recentMs = recentMs
  }

  /** Returns the newest deliveries that the stream has on a subject; repeats the request until JetStream answers. */
  newest(origin: MqttOrigin, subject: string): LookUp {
    const connection = this.#connections.get(origin) ?? new Connection()
    this.#connections.set(origin, connection)
    const known = connection.known.get(subject)
    if (known !== undefined) return known
    const lookUp = this.#lookUp(subject)
    connection.known.set(subject, lookUp)
    connection.pending.set(subject, lookUp)
    const settle = (): void => void connection.pending.delete(subject)
    lookUp.then(settle, settle)
    return lookUp
  }

  /**
   * Returns the look-up of a subject that has not ended: a new message waits for it, so that it is not stored before those of its device
   * that are delivered again. Forgets the others, because a broker first delivers again and then sends new messages.
   */
  pending(origin: MqttOrigin, subject: string): LookUp | undefined {
    const connection = this.#connections.get(origin)
    if (connection === undefined) return undefined
    connection.known.clear()
    if (connection.pending.size === 0) this.#connections.delete(origin)
    return connection.pending.get(subject)
  }

  async #lookUp(subject: string): LookUp {
    if (this.#running >= PARALLEL) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running += 1
    try {
      const found = await this.#readUntilAnswered(subject)
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

  async #readUntilAnswered(subject: string): LookUp {
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)) {
      try {
        return await this.#read(subject)
      } catch (error) {
        if (this.#client.connection.isClosed()) throw error
      }
      await sleep(delayMs, undefined, { ref: false })
    }
  }

  async #read(subject: string): LookUp {
    const newest = { count: RECEIVE_MAXIMUM, withinMs: this.#recentMs }
    const headers = await readNewestHeaders(this.#client, { stream: this.#stream, subject, ...newest })
    // A replayed message is a copy of one that was delivered.
    const originals = headers.filter((each) => !each.has(REPLAY_HEADERS.of))
    return originals.flatMap((each) => decodeStoredDelivery(each.get(MQTT_DELIVERY_HEADER)) ?? [])
  }
}
