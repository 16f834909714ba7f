import { createHash, randomUUID } from 'node:crypto'
import type { Gateway } from '../../src/domain/entities.ts'
import { MappingError, messageOf, PublishError } from '../../src/domain/errors.ts'
import { gatewayBrokerConfig, type GatewayType } from '../../src/domain/gateway-config.ts'
import type { GatewayRun, GatewayRunner } from '../../src/domain/gateway-orchestration/gateway-process.ts'
import type { RefusalReason } from '../../src/domain/gateway-orchestration/refusals.ts'
import { shardOf } from '../../src/domain/gateway-orchestration/shards.ts'
import { decodeChirpStackUplink } from '../../src/domain/network-server/chirpstack.ts'
import { eventFilters } from '../../src/domain/network-server/events.ts'
import { decodeTheThingsStackUplink } from '../../src/domain/network-server/the-things-stack.ts'
import type { EndDeviceRepository } from '../../src/domain/ports.ts'
import { maskSecrets } from '../../src/domain/secrets.ts'
import type { InFlightBudget } from '../../src/mqtt/in-flight-budget.ts'
import type { MqttMessage } from '../../src/mqtt/message.ts'
import type { MqttSession } from '../../src/mqtt/session.ts'
import { clientIdOf, MqttSessions, type SessionPlace } from '../../src/mqtt/sessions.ts'
import type { MqttSubscription } from '../../src/mqtt/subscriber.ts'
import { shortened } from '../../src/nats/dead-letters.ts'
import { subjectToken } from '../../src/nats/publisher/publication.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import type { Logger } from '../../src/runner/logger.ts'
import { type MessageSource, networkSource, topicSource, UnknownDeviceError } from './message-source.ts'
import { deliveryId, deliveryOf } from './mqtt-delivery.ts'
import type { Redeliveries } from './redeliveries.ts'
import type { RefusedMessages } from './refused-messages.ts'
import { UnknownDevices } from './unknown-devices.ts'

interface CommonParts {
  readonly redeliveries: Redeliveries
  readonly refused: RefusedMessages
  readonly rawStream: string
  /** The largest message that NATS accepts, in bytes. */
  readonly maxMessageBytes: () => number
  /** The number of shards of the leases. */
  readonly shards: number
  /** The MQTT messages that are received and not acknowledged. */
  readonly budget: InFlightBudget
}

interface MqttRunnerParts extends CommonParts {
  readonly sessions: MqttSessions
  readonly unknownDevices: UnknownDevices
}

export interface GatewayRunnersParts extends CommonParts {
  readonly devices: Pick<EndDeviceRepository, 'findByExternalId'>
  readonly logger: Logger
  readonly printIntervalMs: number
}

/** Returns the runner of each type of gateway. */
export function gatewayRunners(parts: GatewayRunnersParts): ReadonlyMap<string, GatewayRunner> {
  const { devices, logger, printIntervalMs, ...common } = parts
  const unknownDevices = new UnknownDevices(() => performance.now())
  const mqttParts = { ...common, unknownDevices, sessions: new MqttSessions(parts.maxMessageBytes, parts.budget) }
  const mqtt = mqttRunner(mqttParts, 'mqtt', topicSource)
  const runners: Record<GatewayType, GatewayRunner> = {
    print: printRunner(logger, printIntervalMs),
    mqtt,
    emqx: mqtt,
    chirpstack: mqttRunner(mqttParts, 'chirpstack', networkSource(decodeChirpStackUplink, devices)),
    ttn: mqttRunner(mqttParts, 'ttn', networkSource(decodeTheThingsStackUplink, devices)),
  }
  return new Map(Object.entries(runners))
}

/**
 * Publishes each MQTT message of a gateway as a raw envelope. A message is acknowledged to the broker only after
 * JetStream has stored it, so it is never lost; a message that cannot be an envelope becomes a dead letter.
 */
function mqttRunner(parts: MqttRunnerParts, type: Exclude<GatewayType, 'print'>, source: MessageSource): GatewayRunner {
  return async (run) => {
    const { gateway } = run
    const { topicFilter, retained, ...broker } = gatewayBrokerConfig(type, gateway)
    const place = placeOf(gateway, parts.shards)
    const turns = new Turns()
    const subscription = {
      broker,
      topicFilter,
      retained,
      assertOwned: run.assertOwned,
      onMessage: async (message: MqttMessage, signal: AbortSignal): Promise<void> => {
        run.assertOwned()
        await store(parts, { ...run, signal }, source, message, turns)
        run.received()
      },
      finishUntil: run.forfeited,
      isRemoved: () => isRemoved(type, run, place),
      onSubscribed: run.succeeded,
      onInterrupted: run.interrupted,
    }
    const events = [...eventFilters(type, topicFilter)].map(([kind, filter]) => ({
      ...eventSubscription(run, kind),
      broker,
      topicFilter: filter,
      isRemoved: subscription.isRemoved,
    }))
    await subscribeAll((...args) => parts.sessions.subscribe(place, ...args), subscription, events, run.signal)
  }
}

/** Counts events, which are not stored. At QoS 0, because the broker need not keep them. */
function eventSubscription({ observed, assertOwned }: GatewayRun, kind: string) {
  return {
    assertOwned,
    qos: 0 as const,
    retained: false,
    onMessage: async () => observed(kind),
    finishUntil: AbortSignal.abort(),
    onSubscribed: () => undefined,
    onInterrupted: () => undefined,
  }
}

/** Subscribes as `MqttSession.subscribe` does, and to events for as long; those that the broker does not permit are not counted. */
async function subscribeAll(
  subscribe: MqttSession['subscribe'],
  subscription: MqttSubscription,
  events: readonly MqttSubscription[],
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController()
  const eventSignal = AbortSignal.any([signal, ended.signal])
  const subscribed = subscribe(subscription, signal)
  const others = events.map((event) => subscribe(event, eventSignal).catch(() => undefined))
  try {
    await subscribed
  } finally {
    ended.abort()
    await Promise.all(others)
  }
}

/** Returns whether the gateway that follows, if any, has another session or topic. */
function isRemoved(type: Exclude<GatewayType, 'print'>, run: GatewayRun, place: SessionPlace): boolean {
  const { gateway, successor } = run
  const next = successor()
  if (next === undefined) return false
  if (next === null || next.gatewayType !== gateway.gatewayType) return true
  try {
    const own = gatewayBrokerConfig(type, gateway)
    const following = gatewayBrokerConfig(type, next)
    return own.topicFilter !== following.topicFilter || clientIdOf(place, own) !== clientIdOf(place, following)
  } catch {
    // An invalid config may be corrected.
    return false
  }
}

function placeOf({ gatewayId, organizationId }: Gateway, shards: number): SessionPlace {
  return { shard: shardOf(gatewayId, shards), organizationId }
}

/** Publishes messages in the order of the calls, whose reads overlap. Resolves when JetStream has stored this one. */
async function store(
  parts: MqttRunnerParts,
  run: GatewayRun,
  source: MessageSource,
  message: MqttMessage,
  turns: Turns,
): Promise<void> {
  const { gateway, signal, assertOwned } = run
  try {
    checkComplete(message, parts.maxMessageBytes())
    await turns.take(source.read(gateway, message, signal), ({ envelope, messageId }) => {
      // First, because its error says what is wrong with an id.
      const body = encodeRawEnvelope(envelope)
      const subject = `raw_envelopes.${subjectToken(envelope.endDeviceId)}`
      return parts.redeliveries.store(message, { subject, body, messageId, assertSendable: assertOwned }, signal)
    })
  } catch (error) {
    if (!isPermanent(error)) throw error
    const cause = refusalReason(error, source)
    await refuse(parts, run, cause, message, error)
    run.refused(cause, shortened(messageOf(error)))
  }
}

function refusalReason(error: unknown, source: MessageSource): RefusalReason {
  if (error instanceof UnknownDeviceError) return 'unknown_device'
  return error instanceof MappingError ? source.invalid : 'not_publishable'
}

/** Throws a PublishError for a message whose payload was not read, because NATS could not store it. */
function checkComplete({ omittedBytes }: MqttMessage, maxBytes: number): void {
  if (omittedBytes === 0) return
  const reason = `message of ${omittedBytes} bytes exceeds max_payload ${maxBytes} of NATS; raise max_payload`
  throw new PublishError('too_large', reason)
}

/** Lets asynchronous steps overlap and their results act in the order of the calls. */
class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Calls `act` when the step has resolved and every earlier one has acted or failed. */
  async take<T, R>(step: Promise<T>, act: (result: T) => Promise<R>): Promise<R> {
    const before = this.#last
    let done: () => void = () => undefined
    this.#last = new Promise((resolve) => (done = resolve))
    const [result] = await Promise.allSettled([step, before])
    done()
    if (result.status === 'rejected') throw result.reason
    return await act(result.value)
  }
}

/** Stores the dead letter of a message that cannot be an envelope: its body, or for an unknown device an envelope to replay. */
async function refuse(
  { refused, rawStream, unknownDevices }: MqttRunnerParts,
  { gateway: { gatewayId, organizationId }, signal, assertOwned }: GatewayRun,
  cause: RefusalReason,
  message: MqttMessage,
  error: unknown,
): Promise<void> {
  // Also what is dropped is acknowledged to the broker.
  assertOwned()
  const { topic, payload, omittedBytes } = message
  const reason = `gateway ${gatewayId}: ${messageOf(error)}`
  const messageId = letterIdOf(gatewayId, message)
  const place = { service: 'gateway-orchestrator', stream: rawStream, subject: topic }
  const letter = { ...place, messageId, reason, assertSendable: assertOwned }
  if (!(error instanceof UnknownDeviceError))
    return await refused.store(organizationId, { ...letter, body: payload, omittedBytes, cause }, signal)
  const { endDeviceId: externalId } = error.envelope
  if (!unknownDevices.admit(organizationId, externalId)) return refused.drop(cause)
  const body = encodeRawEnvelope(error.envelope)
  await refused.store(organizationId, { ...letter, body, cause, externalId }, signal)
}

/**
 * Returns the id of a dead letter, the same for a message that the broker delivers again. JetStream suppresses the second copy, as it does
 * with a later message of the same content and packet id within its duplicate window.
 */
function letterIdOf(gatewayId: string, message: MqttMessage): string {
  const delivery = deliveryOf(message)
  if (delivery === undefined) return randomUUID()
  return createHash('sha256')
    .update(`${gatewayId}\n${deliveryId(delivery)}`)
    .digest('base64url')
}

/** Returns whether a redelivery by the broker would fail again. */
function isPermanent(error: unknown): boolean {
  if (error instanceof PublishError) return error.code === 'invalid' || error.code === 'too_large'
  return error instanceof MappingError || error instanceof UnknownDeviceError
}

/** Logs the gateway periodically: the simplest runner, for experiments. */
function printRunner(logger: Logger, intervalMs: number): GatewayRunner {
  return ({ gateway, signal, succeeded }) => {
    const line = {
      gateway_id: gateway.gatewayId,
      organization_id: gateway.organizationId,
      gateway_type: gateway.gatewayType,
      gateway_config: maskSecrets(gateway.gatewayConfig),
    }
    const print = (): void => logger.info(line, 'gateway')
    return new Promise((resolve) => {
      print()
      succeeded()
      const timer = setInterval(print, intervalMs)
      const onAbort = (): void => {
        clearInterval(timer)
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
