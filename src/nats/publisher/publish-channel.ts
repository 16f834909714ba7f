import { createInbox, type Msg, type Subscription } from '@nats-io/nats-core'
import { PublishError, messageOf } from '../../domain/errors.ts'
import type { NatsClient } from '../connection.ts'
import { EncodedHeaders } from './publication.ts'
import type { PendingPublish } from './publish-state.ts'

interface ChannelListener {
  /** Called with the reply of JetStream to the message with this number. */
  readonly onReply: (number: number, reply: Msg) => void
  /** Called after a reconnect: messages sent before it may be lost. */
  readonly onConnected: () => void
  /** Called when no further reply can arrive. */
  readonly onClosed: (reason: string) => void
}

/** Sends messages to NATS. One subscription receives all replies; the reply subject of a message ends with its number. */
export class PublishChannel {
  readonly #client: NatsClient
  readonly #inbox = `${createInbox()}.`
  readonly #subscription: Subscription
  readonly #offLink: () => void
  readonly #headers = new EncodedHeaders()

  constructor(client: NatsClient, { onReply, onConnected, onClosed }: ChannelListener) {
    this.#client = client
    const onDenied = (error: Error): void => {
      const reason = 'NATS rejected the subscription for acknowledgements'
      client.logger.error(`${reason}: ${messageOf(error)}`)
      onClosed(reason)
    }
    this.#subscription = client.connection.subscribe(`${this.#inbox}*`, {
      callback: (error, reply) =>
        error ? onDenied(error) : onReply(Number(reply.subject.slice(this.#inbox.length)), reply),
    })
    this.#offLink = client.link.onChange((connected) => {
      if (connected) onConnected()
    })
    void client.connection.closed().then(() => onClosed('the connection to NATS is closed'))
  }

  get maxPayload(): number {
    return this.#client.connection.info?.max_payload ?? Infinity
  }

  /** Sends a message, with the expectation of its predecessor or without. Returns the error if the client does not accept it. */
  send(message: PendingPublish, isExpectant: boolean): PublishError | undefined {
    const { connection } = this.#client
    const { subject, body } = message.publication
    try {
      this.#headers.block = message.headers(isExpectant)
      connection.publish(subject, body, { reply: this.#inbox + message.number, headers: this.#headers })
      return undefined
    } catch (error) {
      if (connection.isClosed() || connection.isDraining())
        return new PublishError('closed', 'the connection to NATS is closing')
      return new PublishError('too_large', `cannot send to ${subject}: ${messageOf(error)}`)
    }
  }

  close(): void {
    this.#offLink()
    if (!this.#client.connection.isClosed()) this.#subscription.unsubscribe()
  }
}
