import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Counter } from 'prom-client'
import type { MqttMessage } from '../../src/mqtt/message.ts'
import { RECEIVE_MAXIMUM } from '../../src/mqtt/packets.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { Producer } from '../../src/nats/publisher/producer.ts'
import type { Publication, Stored } from '../../src/nats/publisher/publication.ts'
import { findMessage } from '../../src/nats/stored-messages.ts'
import { withSignal } from '../../src/runner/startup.ts'
import {
  decodeStoredDelivery,
  deliveryId,
  deliveryOf,
  encodeStoredDelivery,
  MQTT_DELIVERY_HEADER,
  type MqttDelivery,
  type Verdict,
  verdictOf,
} from './mqtt-delivery.ts'
import { RedeliveryLookUps } from './redelivery-look-ups.ts'

/** A raw envelope; `messageId` is present if the content of the message has an id. */
type Envelope = Omit<Publication, 'messageId' | 'headers'> & { readonly messageId?: string | undefined }

const redelivered = new Counter({
  name: 'ponix_gateway_redelivered_total',
  help: 'Messages that a broker delivered again. Labels: outcome (stored, suppressed because the stream had the message).',
  labelNames: ['outcome'],
})

/**
 * Stores a message once although brokers deliver at least once (QoS 1). Its identity is the client id, the subscription identifiers (MQTT
 * 5), the packet id, topic and payload, which a broker repeats when it delivers the message again, marked with DUP. Two things recognize a second copy: JetStream, because the
 * message id is a hash of the identity, within the duplicate window of the stream; and, for a message with DUP, a look-up of the
 * newest messages of the device, whose header has the identity, before it is published: those of the minute before the newest one, and with
 * MQTT 5, if none of them is the message, those of the hour. The first has no gap in time but a limit, the second
 * has no limit but a gap.
 *
 * | the first copy of a message with DUP                                         | the message is suppressed by           |
 * | ---------------------------------------------------------------------------- | -------------------------------------- |
 * | is stored; the process was killed or lost its connection before the PUBACK   | the look-up, however long ago          |
 * | waits in this process, because NATS is away or the stream is full            | JetStream, whichever is stored first   |
 * | is sent, and its run was ended before the reply                              | JetStream                              |
 * | is on its way from a process that was killed or stopped, during the look-up  | JetStream                              |
 * | ... and arrives after the second copy was stored                             | JetStream: the first one is suppressed |
 * | ... more than the duplicate window after it                                  | nothing: it is stored a second time    |
 * | was never stored, or never received                                          | nothing: it is stored now              |
 * | is stored, as are others of this device with the same packet id (`unclear`)  | nothing: it is stored a second time    |
 *
 * A message without DUP is always stored. If JetStream takes it for one that it has, the header of that one shows whether it is this
 * message, sent again to NATS, or another one, whose packet id the broker used again within the duplicate window: then it is published
 * with a random id. A message with DUP is lost only if an equal one of its device, the only one of its newest messages with the same
 * packet id, has the same identifiers. With MQTT 5 the identifiers change with each connection and before a packet id comes again
 * (`nextPeriod`), so that this needs a broker that gives a packet id again immediately, or begins to count them again for messages that
 * it kept while it was disconnected. With MQTT 3.1.1, which has no identifiers, it needs a broker that begins to count them again, for a
 * connection or after the loss of a session, or 65,535 messages of the session within the minute of the look-up.
 */
export class Redeliveries {
  readonly #client: NatsClient
  readonly #producer: Producer
  readonly #lookUps: RedeliveryLookUps
  readonly #process = randomBytes(6).toString('base64url')
  #received = 0

  /** `recentMs`: the time of the messages that are looked up first. */
  constructor(client: NatsClient, producer: Producer, stream: string, recentMs?: number) {
    this.#client = client
    this.#producer = producer
    this.#lookUps = new RedeliveryLookUps(client, stream, recentMs)
  }

  /** Stores an envelope unless the stream has it. Rejects like `publish` of the producer. */
  async store(message: MqttMessage, envelope: Envelope, signal: AbortSignal): Promise<void> {
    const delivery = deliveryOf(message)
    if (delivery === undefined) return await this.#publish(envelope, undefined, signal).then(() => undefined)
    const verdict = await this.#compare(message, delivery, envelope.subject, signal)
    if (verdict === 'stored') return redelivered.inc({ outcome: 'suppressed' })
    const receipt = `${this.#process}${(this.#received++).toString(36)}`
    const headers = { [MQTT_DELIVERY_HEADER]: encodeStoredDelivery({ ...delivery, receipt }) }
    const publication = { ...envelope, headers }
    const stored = await this.#publish(publication, verdict === 'unclear' ? undefined : deliveryId(delivery), signal)
    if (message.dup) return redelivered.inc({ outcome: stored.duplicate ? 'suppressed' : 'stored' })
    if (!stored.duplicate || envelope.messageId !== undefined) return
    if (await this.#isOther(stored, receipt, signal)) await this.#publish(publication, undefined, signal)
  }

  async #publish(envelope: Envelope & Pick<Publication, 'headers'>, id: string | undefined, signal: AbortSignal) {
    const messageId = envelope.messageId ?? id ?? randomUUID()
    return await this.#producer.publish({ ...envelope, messageId }, signal)
  }

  /** The second look-up is for messages with subscription identifiers: without them, a packet id can be used again within its time. */
  async #compare(
    { origin, dup, identifiers }: MqttMessage,
    delivery: MqttDelivery,
    subject: string,
    signal: AbortSignal,
  ): Promise<Verdict> {
    if (dup) {
      const recent = await withSignal(signal, this.#lookUps.newest(origin, subject, 'recent'))
      const verdict = verdictOf(delivery, recent)
      if (verdict !== 'absent' || identifiers.length === 0 || recent.length >= RECEIVE_MAXIMUM) return verdict
      return verdictOf(delivery, await withSignal(signal, this.#lookUps.newest(origin, subject, 'all')))
    }
    for (;;) {
      const pending = this.#lookUps.pending(origin, subject)
      if (pending === undefined) return 'absent'
      await withSignal(signal, pending)
    }
  }

  /** Returns whether a stored message is another one than that with this receipt. */
  async #isOther({ stream, sequence }: Stored, receipt: string, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      try {
        const found = await findMessage(this.#client, stream, { seq: sequence })
        return decodeStoredDelivery(found?.header.get(MQTT_DELIVERY_HEADER) ?? '')?.receipt !== receipt
      } catch (error) {
        if (this.#client.connection.isClosed()) throw error
      }
      await sleep(1000, undefined, { signal })
    }
  }
}
