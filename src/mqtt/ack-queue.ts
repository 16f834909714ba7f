import { ByteBudget } from '../domain/byte-budget.ts'
import { Fifo } from '../domain/fifo.ts'
import { RECEIVE_MAXIMUM, type MqttConnection } from './connection.ts'
import type { MqttMessage } from './message.ts'

/** The payloads of a connection that are in memory; beyond them it reads nothing further. */
const MAX_BYTES = 8 * 1024 * 1024
/** What a message costs beside its payload and topic. */
const OVERHEAD_BYTES = 256

/** A message of a connection that is not acknowledged. */
export interface Entry {
  readonly packetId: number | undefined
  readonly bytes: number
  /** Called when the message is acknowledged, or the connection lost. */
  onReleased: () => void
  isDone: boolean
}

/**
 * The messages of a connection in the order of receipt, which is the order of the acknowledgements (MQTT 5, 4.6): a message that is
 * stored waits for those before it. When the queue is full, the connection is paused.
 */
export class AckQueue {
  readonly #connection: Pick<MqttConnection, 'acknowledge' | 'pause' | 'resume'>
  readonly #entries = new Fifo<Entry>()
  readonly #budget = new ByteBudget({ items: RECEIVE_MAXIMUM, bytes: MAX_BYTES })
  #holds = false

  constructor(connection: Pick<MqttConnection, 'acknowledge' | 'pause' | 'resume'>) {
    this.#connection = connection
  }

  add({ packetId, payload, topic }: MqttMessage): Entry {
    const bytes = payload.length + topic.length + OVERHEAD_BYTES
    const entry: Entry = { packetId, bytes, onReleased: () => undefined, isDone: false }
    this.#entries.push(entry)
    this.#budget.add(bytes)
    if (this.#budget.isFull) this.#connection.pause()
    return entry
  }

  /** Acknowledges the message when all before it are settled. */
  settle(entry: Entry): void {
    entry.isDone = true
    const wasFull = this.#budget.isFull
    for (let oldest = this.#entries.peek(); oldest?.isDone === true; oldest = this.#entries.peek()) {
      this.#entries.shift()
      this.#budget.remove(oldest.bytes)
      if (oldest.packetId !== undefined) this.#connection.acknowledge(oldest.packetId)
      oldest.onReleased()
    }
    if (wasFull && !this.#budget.isFull && !this.#holds) this.#connection.resume()
  }

  /** Reads nothing further from the connection, also when messages are acknowledged. */
  hold(): void {
    this.#holds = true
    this.#connection.pause()
  }

  release(): void {
    if (!this.#holds) return
    this.#holds = false
    if (!this.#budget.isFull) this.#connection.resume()
  }

  /** Forgets all messages, because the connection is lost. */
  abandon(): void {
    for (const entry of this.#entries.drain()) entry.onReleased()
    this.#budget.clear()
  }
}
