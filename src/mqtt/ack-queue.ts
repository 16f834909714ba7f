import { ByteBudget } from '../domain/byte-budget.ts'
import { Fifo } from '../domain/fifo.ts'
import type { MqttConnection } from './connection.ts'
import type { InFlightBudget, WaitingConnection } from './in-flight-budget.ts'
import type { MqttMessage } from './message.ts'
import { RECEIVE_MAXIMUM } from './packets.ts'

/** The messages of a connection that are in memory; beyond them it reads nothing further. */
const MAXIMUM = { items: RECEIVE_MAXIMUM, bytes: 8 * 1024 * 1024 }
/** What a connection receives in any case, or one larger message, so that no other connection can stop it. */
const MINIMUM = { items: 16, bytes: 64 * 1024 }
/** What a message costs beside its payload and topic. */
const OVERHEAD_BYTES = 256

type PausableConnection = Pick<MqttConnection, 'acknowledge' | 'pause' | 'resume'>

/** A message of a connection that is not acknowledged. */
export interface Entry {
  readonly packetId: number | undefined
  readonly bytes: number
  /** Called when the message is acknowledged, or the connection lost. */
  onReleased: () => void
  /** Whether a subscriber has the message. */
  isHeld: boolean
  isDone: boolean
}

export interface AckQueueParts {
  readonly connection: PausableConnection
  readonly budget: InFlightBudget
  /** Whose share of the budget the messages use. */
  readonly owner: string
}

/**
 * The messages of a connection in the order of receipt, which is the order of the acknowledgements (MQTT 5, 4.6): a message that is
 * stored waits for those before it. When the queue is full, or its owner uses its share of the budget, the connection is paused, so
 * that the broker waits.
 */
export class AckQueue {
  readonly #connection: PausableConnection
  readonly #budget: InFlightBudget
  readonly #waiting: WaitingConnection
  readonly #entries = new Fifo<Entry>()
  readonly #maximum = new ByteBudget(MAXIMUM)
  readonly #minimum = new ByteBudget(MINIMUM)
  #holds = false
  #isPaused = false
  #isAbandoned = false

  constructor({ connection, budget, owner }: AckQueueParts) {
    this.#connection = connection
    this.#budget = budget
    this.#waiting = { owner, onRoom: () => this.#pauseOrResume() }
  }

  add({ packetId, payload, topic }: MqttMessage): Entry {
    const bytes = payload.length + topic.length + OVERHEAD_BYTES
    const entry: Entry = { packetId, bytes, onReleased: () => undefined, isHeld: false, isDone: false }
    this.#entries.push(entry)
    this.#maximum.add(bytes)
    this.#minimum.add(bytes)
    this.#budget.add(this.#waiting.owner, bytes)
    this.#pauseOrResume()
    return entry
  }

  /** Acknowledges the message when all before it are settled. */
  settle(entry: Entry): void {
    entry.isDone = true
    if (this.#isAbandoned) return
    for (let oldest = this.#entries.peek(); oldest?.isDone === true; oldest = this.#entries.peek()) {
      this.#entries.shift()
      this.#maximum.remove(oldest.bytes)
      this.#minimum.remove(oldest.bytes)
      this.#budget.remove(this.#waiting.owner, oldest.bytes)
      if (oldest.packetId !== undefined) this.#connection.acknowledge(oldest.packetId)
      oldest.onReleased()
    }
    this.#pauseOrResume()
  }

  /** Call it when no subscriber has the message any more. */
  release(entry: Entry): void {
    entry.isHeld = false
    if (this.#isAbandoned) this.#budget.remove(this.#waiting.owner, entry.bytes)
  }

  /** Reads nothing further from the connection, also when messages are acknowledged. */
  hold(): void {
    this.#holds = true
    this.#pauseOrResume()
  }

  unhold(): void {
    this.#holds = false
    this.#pauseOrResume()
  }

  /** Forgets all messages, because the connection is lost. Those that subscribers have are in memory until they release them. */
  abandon(): void {
    this.#isAbandoned = true
    this.#budget.leave(this.#waiting)
    for (const entry of this.#entries.drain()) {
      entry.onReleased()
      if (!entry.isHeld) this.#budget.remove(this.#waiting.owner, entry.bytes)
    }
  }

  #pauseOrResume(): void {
    if (this.#isAbandoned) return
    const isBeyondShare = this.#minimum.isFull && !this.#budget.hasRoom(this.#waiting.owner)
    if (isBeyondShare) this.#budget.wait(this.#waiting)
    else this.#budget.leave(this.#waiting)
    const pauses = this.#holds || this.#maximum.isFull || isBeyondShare
    if (pauses === this.#isPaused) return
    this.#isPaused = pauses
    if (pauses) this.#connection.pause()
    else this.#connection.resume()
  }
}
