import { afterAll, beforeAll, beforeEach } from 'vitest'
import { createAnalytics } from '../../../services/analytics/analytics.ts'
import { analyticsEnvironment } from '../../../services/analytics/clients.ts'
import type { EnvelopeRow } from '../../../src/clickhouse/envelope-text.ts'
import type { ProcessedEnvelopeWriter, RowOutcome } from '../../../src/clickhouse/envelope-writer.ts'
import type { EndDevice, Organization, RawEnvelope } from '../../../src/domain/entities.ts'
import { ClickHouseUnavailable } from '../../../src/domain/errors.ts'
import type { Instant } from '../../../src/domain/instant.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { DEAD_LETTER_HEADERS } from '../../../src/nats/dead-letters.ts'
import { createProducer, type Producer } from '../../../src/nats/publisher/producer.ts'
import { ensureStreams } from '../../../src/nats/streams.ts'
import { encodeRawEnvelope } from '../../../src/proto/envelope.ts'
import { parseEnvironment } from '../../../src/runner/environment.ts'
import { evaluationWorkerUrl } from '../program.ts'
import { connectTo, probeLog, PLATFORM_STREAMS } from '../adapters/nats-client.ts'
import { type NatsAddress, type ServerControl, startNats } from '../servers.ts'

// A real NATS server, devices in memory and a scripted ClickHouse writer.

/** The default payload. */
export const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
/** The default payload conversion. */
const ORGANIZATION: Organization = {
  id: '',
  name: '',
  status: 'active',
  retentionDays: 0,
  createdAt: 0n,
  updatedAt: 0n,
  deletedAt: null,
}
const LPP = 'cayenne_lpp_decode(input)'
/** The default payload, converted. */
export const DECODED = { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 }
/** A timeout just below the test timeout, so that the speed of the machine does not matter. */
export const WAIT = { timeout: 55_000, interval: 20 }
const STREAMS = PLATFORM_STREAMS.map(({ name }) => name)

/** Returns a scripted writer that accepts rows by default. */
export function scriptedWriter() {
  const rows: EnvelopeRow[] = []
  const script = {
    available: true,
    reject: (_row: EnvelopeRow): string | undefined => undefined,
    attempts: 0,
    rows,
  }
  const writer: ProcessedEnvelopeWriter = {
    async write(batch) {
      script.attempts++
      if (!script.available) throw new ClickHouseUnavailable('no connection')
      return batch.map((row): RowOutcome => {
        const reason = script.reject(row)
        if (reason !== undefined) return { kind: 'rejected', reason }
        rows.push(row)
        return { kind: 'stored' }
      })
    },
  }
  return { script, writer }
}

/** Registers hooks: one NATS server per test file; streams, devices and a connection per test. */
export function analyticsForEach() {
  let server: NatsAddress & ServerControl
  let client: NatsClient
  let producer: Producer
  let devices: Map<string, EndDevice>
  /** The last-seen times that were written. */
  let lastSeen: Map<string, Instant>
  /** The reasons of failed payloads that were written. */
  let lastErrors: Map<string, string>
  /** The ids of lookups that found no entity. */
  let unknown: string[]
  let sent: number
  /** Whether changes of devices become events. */
  let capturing: boolean
  /** Functions to run at the end of the test. */
  let stops: (() => Promise<void>)[]

  beforeAll(async () => {
    server = await startNats()
  })

  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  beforeEach(async () => {
    client = await connectTo(server.url)
    await ensureStreams(client, PLATFORM_STREAMS)
    producer = createProducer(client)
    devices = new Map()
    lastSeen = new Map()
    lastErrors = new Map()
    unknown = []
    sent = 0
    capturing = false
    stops = []
    return async () => {
      for (const stop of stops) await stop()
      for (const stream of STREAMS) await client.manager.streams.delete(stream)
      await client.drain()
    }
  })

  /** Creates a device or changes its payload conversion. */
  function device(deviceId: string, payloadConversion = LPP): void {
    const common = { organizationId: 'organization', name: deviceId, createdAt: 0n, updatedAt: 0n, lastSeenAt: null }
    devices.set(deviceId, { deviceId, payloadConversion, externalId: '', profileId: '', ...common })
  }

  async function findDevices(ids: readonly string[]): Promise<ReadonlyMap<string, EndDevice>> {
    const found = ids.flatMap((id) => devices.get(id) ?? [])
    unknown.push(...ids.filter((id) => !devices.has(id)))
    return new Map(found.map((device) => [device.deviceId, device]))
  }

  /** Publishes raw envelopes, or raw message bodies. */
  async function publish(...envelopes: (Partial<RawEnvelope> | Uint8Array)[]): Promise<void> {
    await Promise.all(
      envelopes.map((envelope) => {
        const number = sent++
        const raw = {
          organizationId: 'organization',
          endDeviceId: 'device',
          payload: PAYLOAD,
          receivedAt: BigInt(1_700_000_000_000_000 + number),
        }
        const body = envelope instanceof Uint8Array ? envelope : encodeRawEnvelope({ ...raw, ...envelope })
        return producer.publish({ subject: 'raw_envelopes.any', body, messageId: `test-${number}` })
      }),
    )
  }

  /** Starts an instance of the service with these variables, stopped at the end of the test. */
  async function startAnalytics(
    writer: ProcessedEnvelopeWriter,
    connection = client,
    variables: Readonly<Record<string, string>> = {},
  ) {
    const log = probeLog()
    const analytics = await createAnalytics({
      environment: parseEnvironment(analyticsEnvironment, { PONIX_CLICKHOUSE_BATCH_MS: '20', ...variables }),
      nats: connection,
      endDevices: { getMany: findDevices },
      organizations: {
        getMany: async (ids) => new Map(ids.map((id) => [id, { ...ORGANIZATION, id, name: id }])),
        async *retentions() {},
      },
      expiredRows: { async *delete() {} },
      profiles: { getCodecs: async () => new Map() },
      capture: { isActive: async () => capturing },
      lastSeenStore: {
        record: async (activities) =>
          activities.forEach(({ seenAt, failure }, id) => {
            if (seenAt !== null) lastSeen.set(id, seenAt)
            if (failure !== null) lastErrors.set(id, failure.reason)
          }),
        hasSeveralOrganizations: async () => false,
      },
      writer,
      workerUrl: evaluationWorkerUrl,
      logger: log.logger,
    })
    const stopping = new AbortController()
    const running = Promise.all(Object.values(analytics.processes).map((process) => process(stopping.signal)))
    let stopped: Promise<void> | undefined
    const stop = (): Promise<void> => {
      stopping.abort()
      stopped ??= running.then(() => analytics.close())
      return stopped
    }
    stops.push(stop)
    return { analytics, log, stop }
  }

  /** Returns the number of messages in a stream. */
  async function messagesIn(stream: string): Promise<number> {
    return (await client.manager.streams.info(stream)).state.messages
  }

  /** Returns whether no message is pending or unacknowledged. */
  async function allAcknowledged(stream: string, durable: string): Promise<boolean> {
    const { num_pending, num_ack_pending } = await client.manager.consumers.info(stream, durable)
    return num_pending === 0 && num_ack_pending === 0
  }

  /** Returns the dead letters in order. */
  async function deadLetters(): Promise<{ subject: string; reason: string; attempts: string }[]> {
    const letters = []
    const { first_seq, last_seq } = (await client.manager.streams.info('dead_letters')).state
    for (let sequence = first_seq; sequence <= last_seq; sequence++) {
      const message = await client.manager.streams.getMessage('dead_letters', { seq: sequence })
      if (message === null) continue
      const reason = message.header.get(DEAD_LETTER_HEADERS.reason)
      letters.push({ subject: message.subject, reason, attempts: message.header.get(DEAD_LETTER_HEADERS.attempts) })
    }
    return letters
  }

  /** Reports CDC as active from now on. */
  function captureChanges(): void {
    capturing = true
  }

  return {
    get server() {
      return server
    },
    get client() {
      return client
    },
    get producer() {
      return producer
    },
    get devices() {
      return devices
    },
    get lastSeen(): ReadonlyMap<string, Instant> {
      return lastSeen
    },
    get lastErrors(): ReadonlyMap<string, string> {
      return lastErrors
    },
    get unknown() {
      return unknown
    },
    get stops() {
      return stops
    },
    captureChanges,
    device,
    publish,
    startAnalytics,
    messagesIn,
    allAcknowledged,
    deadLetters,
  }
}
