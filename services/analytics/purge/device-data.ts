import { countRows, deleteRows, type DeviceRows } from '../../../src/clickhouse/envelope-deleter.ts'
import type { ClickHouse } from '../../../src/clickhouse/connection.ts'
import { MappingError } from '../../../src/domain/errors.ts'
import { BundleQueue } from '../../../src/nats/bundle-queue.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { listDeadLetters } from '../../../src/nats/dead-letters.ts'
import { DeferredMessages } from '../../../src/nats/deferred-messages.ts'
import { subjectToken } from '../../../src/nats/publisher/publication.ts'
import { deleteMessage } from '../../../src/nats/stored-messages.ts'
import { messagesOf, purgeSubject } from '../../../src/nats/subject-messages.ts'
import type { PostgresLastSeenStore } from '../../../src/postgres/end-device-repository.ts'
import { decodeBundle, encodeBundle } from '../../../src/proto/bundle.ts'
import { decodeProcessedEnvelope, decodeRawEnvelope } from '../../../src/proto/envelope.ts'
import type { AnalyticsEnvironment } from '../clients.ts'
import { SURPLUS_PREFIX } from '../consumers.ts'
import { matches, viewOf } from '../dead-letter-view.ts'

export interface Amount {
  readonly items: number
  readonly bytes: number
}

/** A place with data of the device. */
export interface DataPlace {
  /** The name of the stream, `rows` or `last_seen`. */
  readonly name: string
  count(): Promise<Amount>
  /** Deletes the data that exists now. */
  purge(): Promise<void>
}

export interface DeviceDataParts {
  readonly environment: AnalyticsEnvironment
  readonly nats: NatsClient
  readonly clickhouse: ClickHouse
  readonly lastSeenStore: Pick<PostgresLastSeenStore, 'has' | 'forget'>
}

type Ids = { readonly organizationId: string; readonly endDeviceId: string }
type Decode = (body: Uint8Array) => Ids

/**
 * Returns the places with data of a device in the order of the pipeline, so that data which is purged in one place does not arrive in the
 * next one. Dead letters are first, because the device of a large one is only in its raw envelope.
 */
export function deviceDataPlaces(parts: DeviceDataParts, device: DeviceRows): readonly DataPlace[] {
  const { environment, clickhouse, lastSeenStore } = parts
  const { endDeviceId, organizationId } = device
  const rawStream = environment.PONIX_NATS_RAW_STREAM
  const processedStream = environment.PONIX_PROCESSED_ENVELOPES_STREAM
  return [
    deadLetters(parts, device),
    envelopes(parts, device, { stream: rawStream, prefix: 'raw_envelopes', decode: decodeRawEnvelope }),
    deferredEnvelopes(parts, device),
    surplusEnvelopes(parts, device),
    envelopes(parts, device, {
      stream: processedStream,
      prefix: 'processed_envelopes',
      decode: decodeProcessedEnvelope,
    }),
    { name: 'rows', count: () => countRows(clickhouse, device), purge: () => deleteRows(clickhouse, device) },
    {
      name: 'last_seen',
      count: async () => ({ items: (await lastSeenStore.has(endDeviceId, organizationId)) ? 1 : 0, bytes: 0 }),
      purge: () => lastSeenStore.forget(endDeviceId, organizationId),
    },
  ]
}

/** The messages of the device's subject. With an organization each message is read, because a device can have moved. */
function envelopes(
  { nats }: DeviceDataParts,
  device: DeviceRows,
  { stream, prefix, decode }: { readonly stream: string; readonly prefix: string; readonly decode: Decode },
): DataPlace {
  const subject = `${prefix}.${subjectToken(device.endDeviceId)}`
  async function* selected() {
    for await (const message of messagesOf(nats, stream, subject)) {
      if (device.organizationId === undefined || concerns(device, decode, message.body)) yield message
    }
  }
  return {
    name: stream,
    count: () => amountOf(selected()),
    async purge() {
      if (device.organizationId === undefined) return await purgeSubject(nats, stream, subject)
      for await (const { streamSequence } of selected()) await deleteMessage(nats, stream, streamSequence)
    },
  }
}

function deferredEnvelopes({ nats, environment }: DeviceDataParts, device: DeviceRows): DataPlace {
  const stream = environment.PONIX_NATS_DEFERRED_STREAM
  const queue = new DeferredMessages(nats, stream)
  const scan = async (isPurged: boolean): Promise<Amount> => {
    let [items, bytes] = [0, 0]
    await queue.scan(
      'deferred_envelopes.*',
      ({ body }) => {
        const isFound = concerns(device, decodeRawEnvelope, body)
        if (isFound) [items, bytes] = [items + 1, bytes + body.length]
        return Promise.resolve(isFound && isPurged)
      },
      new AbortController().signal,
    )
    return { items, bytes }
  }
  return { name: stream, count: () => scan(false), purge: async () => void (await scan(true)) }
}

function surplusEnvelopes({ nats, environment }: DeviceDataParts, device: DeviceRows): DataPlace {
  const stream = environment.PONIX_NATS_SURPLUS_STREAM
  const codec = { encode: encodeBundle, decode: decodeBundle }
  const queue = new BundleQueue(nats, { stream, prefix: SURPLUS_PREFIX, ...codec })
  const isSelected = ({ body }: { readonly body: Uint8Array }): boolean => concerns(device, decodeRawEnvelope, body)
  async function* selected() {
    for await (const message of queue.messages()) if (isSelected(message)) yield message
  }
  return { name: stream, count: () => amountOf(selected()), purge: () => queue.removeMessages(isSelected) }
}

function deadLetters({ nats, environment }: DeviceDataParts, device: DeviceRows): DataPlace {
  const streams = { raw: environment.PONIX_NATS_RAW_STREAM, processed: environment.PONIX_PROCESSED_ENVELOPES_STREAM }
  const { endDeviceId, organizationId } = device
  async function* selected() {
    for await (const letter of listDeadLetters(nats)) {
      const filter = {
        endDevice: endDeviceId,
        ...(organizationId === undefined ? {} : { organization: organizationId }),
      }
      const isFound = matches(viewOf(letter, streams), filter)
      if (isFound || names(letter.subject, device)) yield { ...letter, body: { length: letter.bytes } }
    }
  }
  return {
    name: 'dead_letters',
    count: () => amountOf(selected()),
    async purge() {
      for await (const { sequence } of selected()) await deleteMessage(nats, 'dead_letters', sequence)
    },
  }
}

/** Returns whether a subject, or the MQTT topic of a refused message, names the device, which is then not readable from the body. */
function names(subject: string, { endDeviceId, organizationId }: DeviceRows): boolean {
  const levels = subject.split('/')
  if (levels.length > 1) {
    return levels.includes(endDeviceId) && (organizationId === undefined || levels.includes(organizationId))
  }
  return organizationId === undefined && subject.split('.').at(-1) === endDeviceId
}

function concerns({ endDeviceId, organizationId }: DeviceRows, decode: Decode, body: Uint8Array): boolean {
  try {
    const ids = decode(body)
    return ids.endDeviceId === endDeviceId && (organizationId ?? ids.organizationId) === ids.organizationId
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    return false
  }
}

async function amountOf(messages: AsyncIterable<{ readonly body: { readonly length: number } }>): Promise<Amount> {
  let [items, bytes] = [0, 0]
  for await (const { body } of messages) [items, bytes] = [items + 1, bytes + body.length]
  return { items, bytes }
}
