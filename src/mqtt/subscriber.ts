import { setMaxListeners } from 'node:events'
import { Fifo } from '../domain/fifo.ts'
import type { GatewayBroker } from '../domain/gateway-config.ts'
import type { BrokerAddress } from '../domain/gateway-topics/subscription.ts'
import { withSignal } from '../runner/startup.ts'
import type { MqttMessage } from './message.ts'
import { timeoutSignal } from '../runner/timeout-signal.ts'

export interface MqttSubscription {
  readonly broker: GatewayBroker
  readonly topicFilter: string
  /** Throws if the gateway must not connect, because another instance may run it. */
  readonly assertOwned: () => void
  /** Default 1. At 0 the broker keeps no messages while the session is disconnected. */
  readonly qos?: 0 | 1
  /** Whether messages that the broker had retained before the subscription are passed on; otherwise they are skipped. */
  readonly retained: boolean
  /**
   * Called for each message in the order of receipt, while earlier ones are still handled; the message is acknowledged to the broker
   * when the promise resolves. If it rejects, the subscription ends with the error, and the broker delivers the message again. The
   * signal aborts when the subscription must end.
   */
  readonly onMessage: (message: MqttMessage, signal: AbortSignal) => Promise<void>
  /** Until it aborts, a stop waits for the messages in flight to be acknowledged. */
  readonly finishUntil: AbortSignal
  /** Returns whether the broker must forget the subscription at the stop; otherwise it keeps the messages for the next start. */
  readonly isRemoved: () => boolean
  /** Called when the broker has granted the subscription, at the start or after a reconnect, by a connection to this address. */
  readonly onSubscribed: (broker?: BrokerAddress) => void
  /** Called when the connection is lost, and when a reconnect fails for another reason. */
  readonly onInterrupted: (reason: string) => void
}

/** The number of messages of a subscription that are handled at the same time; further ones wait. */
const WINDOW = 128

interface Task {
  readonly message: MqttMessage
  readonly onEnded: (isHandled: boolean) => void
}

/** The state of one subscription over all connections. */
export class Subscriber {
  readonly subscription: MqttSubscription
  readonly ended: Promise<void>
  /** Whether the broker has ever granted the subscription. */
  wasSubscribed = false
  isLeaving = false
  #isSubscribed = false
  readonly #abort = new AbortController()
  readonly #waiting = new Fifo<Task>()
  /** The messages of the connection that no handler has handled. */
  readonly #unhandled = new Set<Task>()
  #active = 0
  #unacknowledged = 0
  #interruption: string | undefined
  #end: (error?: unknown) => void = () => undefined
  readonly #onFailure: (error: unknown) => void
  #onIdle: (() => void) | undefined

  /** `onFailure` is called when the handler of a message rejects. */
  constructor(subscription: MqttSubscription, onFailure: (error: unknown) => void) {
    this.subscription = subscription
    this.#onFailure = onFailure
    // Each handler that waits adds a listener; Node would warn about a leak.
    setMaxListeners(0, this.#abort.signal)
    this.ended = new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error))
    })
  }

  end(error?: unknown): void {
    this.#abort.abort()
    this.#dropWaiting()
    this.#end(error)
  }

  succeeded(broker?: BrokerAddress): void {
    if (this.#isSubscribed) return
    this.wasSubscribed = true
    this.#isSubscribed = true
    this.#interruption = undefined
    if (!this.isLeaving) this.subscription.onSubscribed(broker)
  }

  interrupted(reason: string): void {
    this.#isSubscribed = false
    if (!this.wasSubscribed || reason === this.#interruption || this.isLeaving) return
    this.#interruption = reason
    this.subscription.onInterrupted(reason)
  }

  /**
   * Handles a message; calls `onEnded` when its handler has resolved, or when the subscriber has given the message up. Call `acknowledged`
   * once for each call.
   */
  handle(message: MqttMessage, onEnded: (isHandled: boolean) => void): void {
    this.#unacknowledged += 1
    const task = { message, onEnded }
    this.#unhandled.add(task)
    this.#waiting.push(task)
    this.#next()
  }

  acknowledged(): void {
    this.#unacknowledged -= 1
    if (this.#unacknowledged === 0) this.#onIdle?.()
  }

  /** Whether there are messages that only the broker can deliver again, once the subscription has ended. */
  get hasUnhandled(): boolean {
    return this.#unhandled.size > 0
  }

  /** Drops the messages that no handler has, because their connection is lost. */
  drop(): void {
    this.#dropWaiting()
    this.#unhandled.clear()
  }

  /** Resolves when all messages are acknowledged, at `finishUntil`, or after the time; then the handlers are aborted. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#unacknowledged > 0) {
      const idle = new Promise<void>((resolve) => (this.#onIdle = resolve))
      const ends = AbortSignal.any([this.subscription.finishUntil, timeoutSignal(timeoutMs)])
      await withSignal(ends, idle).catch(() => undefined)
    }
    this.#abort.abort()
  }

  #next(): void {
    while (this.#active < WINDOW && !this.#abort.signal.aborted) {
      const task = this.#waiting.shift()
      if (task === undefined) return
      this.#active += 1
      void this.#handle(task)
    }
  }

  #dropWaiting(): void {
    for (const { onEnded } of this.#waiting.drain()) onEnded(false)
  }

  async #handle(task: Task): Promise<void> {
    const { message, onEnded } = task
    let isHandled = false
    try {
      await this.subscription.onMessage(message, this.#abort.signal)
      isHandled = true
      this.#unhandled.delete(task)
    } catch (error) {
      // While the subscription ends, its messages stay unacknowledged.
      if (this.isLeaving) this.#onIdle?.()
      else if (!this.#abort.signal.aborted) this.#onFailure(error)
    } finally {
      this.#active -= 1
      onEnded(isHandled)
      this.#next()
    }
  }
}

/** Throws unless one of the subscribers may connect. */
export function assertAnyOwned(subscribers: Iterable<Subscriber>): void {
  let reason: unknown = new Error('no gateway needs the connection')
  for (const { subscription } of subscribers) {
    try {
      return subscription.assertOwned()
    } catch (error) {
      reason = error
    }
  }
  throw reason
}
