import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndDevice, Gateway, RawEnvelope } from '../../src/domain/entities.ts'
import { DomainError, MappingError } from '../../src/domain/errors.ts'
import { now, type Instant } from '../../src/domain/instant.ts'
import type { RefusalReason } from '../../src/domain/gateway-orchestration/refusals.ts'
import type { NetworkUplink, UplinkDecoder } from '../../src/domain/network-server/uplink.ts'
import type { EndDeviceRepository } from '../../src/domain/ports.ts'
import type { MqttMessage } from '../../src/mqtt/message.ts'

/** An envelope. Those with the same message id are stored once. */
export interface Received {
  readonly envelope: RawEnvelope
  /** Absent if the message itself does not say that another one has the same content. */
  readonly messageId?: string
}

/** Converts the messages of a type of gateway. */
export interface MessageSource {
  /** The reason for messages that `read` rejects with a MappingError. */
  readonly invalid: RefusalReason
  /** Rejects with a MappingError for a message that is not an envelope, and with an UnknownDeviceError. */
  read(gateway: Gateway, message: MqttMessage, signal: AbortSignal): Promise<Received>
}

/** No device has the external id. `envelope` has this id in the place of the device's. */
export class UnknownDeviceError extends Error {
  override readonly name = 'UnknownDeviceError'
  readonly envelope: RawEnvelope

  constructor(envelope: RawEnvelope) {
    const { organizationId, endDeviceId: externalId } = envelope
    super(`organization ${organizationId} has no end device with external_id ${externalId}; create it and replay`)
    this.envelope = envelope
  }
}

/** Messages whose topic names the device and whose body is its payload. */
export const topicSource: MessageSource = {
  invalid: 'invalid_topic',
  async read({ organizationId }, { topic, payload }) {
    const endDeviceId = deviceOfTopic(topic, organizationId)
    return { envelope: { organizationId, endDeviceId, payload, receivedAt: now() } }
  },
}

/** Returns the device in a topic `{organization_id}/{end_device_id}` of the gateway's organization. Throws a MappingError. */
export function deviceOfTopic(topic: string, organizationId: string): string {
  const [organization, endDeviceId, ...rest] = topic.split('/')
  if (!organization || !endDeviceId || rest.length > 0) {
    throw new MappingError(`invalid topic "${topic}": expected {organization_id}/{end_device_id}`)
  }
  if (organization !== organizationId) {
    throw new MappingError(`invalid topic "${topic}": expected the gateway's organization ${organizationId}`)
  }
  return endDeviceId
}

/** Uplinks of a network server, whose device is the one with the external id in the gateway's organization. */
export function networkSource(
  decode: UplinkDecoder,
  devices: Pick<EndDeviceRepository, 'findByExternalId'>,
): MessageSource {
  return {
    invalid: 'invalid_uplink',
    async read({ organizationId }, { payload }, signal) {
      const up = decode(payload)
      const { externalId, uplink } = up
      const times = { receivedAt: plausible(up.receivedAt, now()) }
      const common = { organizationId, payload: up.payload, ...times, uplink }
      const device = await untilAvailable(
        () => devices.findByExternalId(organizationId, externalId, { signal }),
        signal,
      )
      if (device === null) throw new UnknownDeviceError({ ...common, endDeviceId: externalId })
      return { envelope: { ...common, endDeviceId: device.deviceId }, ...messageIdOf(device, up) }
    },
  }
}

const MAX_AGE_MICROS = 24n * 3_600_000_000n

/** Returns the network server's time, or `received` if it is in the future or older than a day: a gateway's clock can be wrong. */
export function plausible(time: Instant | null, received: Instant): Instant {
  return time === null || time > received || received - time > MAX_AGE_MICROS ? received : time
}

/** Returns the same id for every copy of an uplink. It contains the device, so that no other organization can suppress the uplink. */
function messageIdOf({ deviceId }: EndDevice, { uplinkId }: NetworkUplink): Pick<Received, 'messageId'> {
  if (uplinkId === null) return {}
  return { messageId: createHash('sha256').update(`${deviceId}\n${uplinkId}`).digest('hex') }
}

const FIRST_DELAY_MS = 100
const MAX_DELAY_MS = 5000

/** Repeats a query until PostgreSQL answers; the broker keeps the further messages meanwhile. Rejects if the signal aborts. */
async function untilAvailable<T>(query: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, MAX_DELAY_MS)) {
    try {
      return await query()
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'unavailable') throw error
    }
    await sleep(delayMs, undefined, { signal })
  }
}
