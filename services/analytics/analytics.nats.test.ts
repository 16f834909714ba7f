import { register } from 'prom-client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bundleEvaluationWorker } from '../../test/rig/evaluation-worker.ts'
import type { BundledWorker } from '../../test/rig/evaluation-worker.ts'
import { connectTo, probeLog } from '../../test/rig/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import type { NatsAddress, ServerControl } from '../../test/rig/servers.ts'
import type { EnvelopeRow, ProcessedEnvelopeWriter, RowOutcome } from '../../src/clickhouse/envelope-writer.ts'
import { ClickHouseUnavailable } from '../../src/clickhouse/errors.ts'
import type { EndDevice } from '../../src/domain/end-device.ts'
import type { RawEnvelope } from '../../src/domain/envelope.ts'
import type { NatsClient } from '../../src/nats/connection.ts'
import { type Delivery, runConsumer } from '../../src/nats/consumer.ts'
import { DEAD_LETTER_HEADERS, REPLAY_HEADERS } from '../../src/nats/dead-letter.ts'
import { createProducer } from '../../src/nats/producer.ts'
import type { Producer } from '../../src/nats/producer.ts'
import { ensureStreams, streamDefinitions } from '../../src/nats/streams.ts'
import { encodeEndDevice } from '../../src/proto/end-device.ts'
import { encodeProcessedEnvelope, encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { readEnvironment } from '../../src/runner/environment.ts'
import { createAnalytics } from './analytics.ts'
import { analyticsEnvironment } from './environment.ts'
import { LastSeen } from './last-seen.ts'
import { createProcessedHandler } from './processed-consumer.ts'
import { createRawHandler } from './raw-consumer.ts'
import { RawEnvelopeProcessor } from './raw-envelope-processor.ts'

const PAYLOAD = Uint8Array.from(Buffer.from('006700FF01688202732795', 'hex'))
const LPP = 'cayenne_lpp_decode(input)'
const DECODED = { temperature_0: 25.5, humidity_1: 65, barometer_2: 1013.3 }
const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`
/** Until the test itself is over its time: how fast a machine is decides nothing. */
const WAIT = { timeout: 55_000, interval: 20 }
const STREAMS = ['raw_envelopes', 'processed_envelopes', 'gateways', 'dead_letters']

let server: NatsAddress & ServerControl
let worker: BundledWorker
let client: NatsClient
let producer: Producer
let devices: Map<string, EndDevice>
/** What was asked for and not there. */
let unknown: string[]
let sent: number
/** Whether changes of devices become events. */
let capturing: boolean
/** Stops what the test started. */
let stops: (() => Promise<void>)[]

beforeAll(async () => {
  server = await startNats()
  worker = await bundleEvaluationWorker()
})

afterAll(async () => {
  await worker[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

beforeEach(async () => {
  client = await connectTo(server.url)
  await ensureStreams(
    client,
    streamDefinitions({
      rawStream: 'raw_envelopes',
      processedStream: 'processed_envelopes',
      gatewayStream: 'gateways',
      maxAgeMs: 0,
      maxBytes: 0,
      duplicateWindowMs: 120_000,
    }),
  )
  producer = createProducer(client)
  devices = new Map()
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

function device(deviceId: string, payloadConversion = LPP): void {
  const common = { organizationId: 'organization', name: deviceId, createdAt: 0n, updatedAt: 0n, lastSeenAt: null }
  devices.set(deviceId, { deviceId, payloadConversion, ...common })
}

async function findDevice(id: string): Promise<EndDevice | null> {
  const found = devices.get(id) ?? null
  if (found === null) unknown.push(id)
  return found
}

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

/** ClickHouse as the test wants it: takes rows unless the test says otherwise. */
function scriptedWriter() {
  const rows: EnvelopeRow[] = []
  const script = {
    available: true,
    refuse: (_row: EnvelopeRow): string | undefined => undefined,
    attempts: 0,
    rows,
  }
  const writer: ProcessedEnvelopeWriter = {
    async write(batch) {
      script.attempts++
      if (!script.available) throw new ClickHouseUnavailable('not here')
      return batch.map((row): RowOutcome => {
        const reason = script.refuse(row)
        if (reason !== undefined) return { kind: 'refused', reason }
        rows.push(row)
        return { kind: 'stored' }
      })
    },
  }
  return { script, writer }
}

/** One instance of the service, stopped at the end of the test. */
async function startAnalytics(writer: ProcessedEnvelopeWriter, connection = client) {
  const log = probeLog()
  const reading = readEnvironment(analyticsEnvironment, { PONIX_CLICKHOUSE_BATCH_MS: '20' })
  if (!reading.ok) throw new Error(reading.errors.join())
  const analytics = await createAnalytics({
    environment: reading.value,
    nats: connection,
    endDevices: { get: findDevice },
    organizations: {
      get: async (id) => ({ id, name: id, status: 'active', createdAt: 0n, updatedAt: 0n, deletedAt: null }),
    },
    capture: { isActive: async () => capturing },
    lastSeenStore: { record: async () => {} },
    writer,
    workerUrl: worker.url,
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

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('nothing there')
  return value
}

async function messagesIn(stream: string): Promise<number> {
  return (await client.manager.streams.info(stream)).state.messages
}

/** Nothing left to deliver, nothing delivered and unanswered. */
async function allAnswered(stream: string, durable: string): Promise<boolean> {
  const { num_pending, num_ack_pending } = await client.manager.consumers.info(stream, durable)
  return num_pending === 0 && num_ack_pending === 0
}

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

describe('P-1: raw envelopes become rows', () => {
  it('turns 100 envelopes into exactly 100 rows, and acknowledges all', async () => {
    device('device')
    const { script, writer } = scriptedWriter()
    const { analytics } = await startAnalytics(writer)
    await publish(...Array.from({ length: 100 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBe(100)
    expect(script.rows.map((row) => row.envelope.data)).toEqual(Array.from({ length: 100 }, () => DECODED))
    expect(new Set(script.rows.map((row) => row.envelope.occurredAt)).size).toBe(100)
    expect(new Set(script.rows.map((row) => row.identity)).size).toBe(100)
    await expect.poll(() => allAnswered('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    await expect.poll(() => allAnswered('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    expect(script.rows).toHaveLength(100)
    expect(await messagesIn('dead_letters')).toBe(0)
    expect(analytics.lastSeen.list()).toEqual([
      { end_device_id: 'device', organization_id: 'organization', last_seen: '2023-11-14T22:13:20.000099Z' },
    ])
  })

  it('publishes to the subject of the device', async () => {
    device('device')
    await startAnalytics(scriptedWriter().writer)
    await publish({})
    await expect.poll(() => messagesIn('processed_envelopes'), WAIT).toBe(1)
    const message = await client.manager.streams.getMessage('processed_envelopes', { seq: 1 })
    expect(message?.subject).toBe('processed_envelopes.device')
  })

  it('leaves one message of an envelope that is delivered twice, or replayed after all', async () => {
    const processor = new RawEnvelopeProcessor({
      lookUp: async () => ({ kind: 'known', organizationId: 'organization', expression: LPP }),
      evaluate: async () => ({ ok: true, data: DECODED, size: 50 }),
      now: () => 1n,
      onDeviceWithoutExpression: () => {},
    })
    const handle = createRawHandler({ processor, producer, rawStream: 'raw_envelopes', lastSeen: new LastSeen() })
    const delivery = (streamSequence: number, storedAtMs: number, replayOf?: string): Delivery => ({
      subject: 'raw_envelopes.any',
      body: encodeRawEnvelope({
        organizationId: 'organization',
        endDeviceId: 'device',
        payload: PAYLOAD,
        receivedAt: 5n,
      }),
      header: (name) => (name === REPLAY_HEADERS.of ? replayOf : undefined),
      streamSequence,
      attempt: 1,
      storedAtMs,
    })
    const signal = new AbortController().signal
    const answers = await Promise.all(await handle([delivery(7, 1000), delivery(7, 1000)], signal))
    expect(answers).toEqual([{ kind: 'ack' }, { kind: 'ack' }])
    expect(await messagesIn('processed_envelopes')).toBe(1)
    await Promise.all(await handle([delivery(8, 1000), delivery(7, 2000)], signal))
    expect(await messagesIn('processed_envelopes')).toBe(3)
    await Promise.all(await handle([delivery(9, 3000, 'raw_envelopes:7:1000')], signal))
    expect(await messagesIn('processed_envelopes')).toBe(3)
  })
})

describe('P-3, P-4, P-7: a bad envelope never decides for its neighbours', () => {
  it('puts each bad one among the dead letters with its reason, and the good ones through', async () => {
    device('device')
    device('none', '')
    device('wrong', '{"a": nothing}')
    device('hostile', ENDLESS)
    device('nan', '{"a": 0.0 / 0.0}')
    const { script, writer } = scriptedWriter()
    const { log } = await startAnalytics(writer)
    const good = Array.from({ length: 25 }, () => ({}))
    await publish(
      ...good,
      Uint8Array.of(0xff, 0xff),
      { endDeviceId: 'none' },
      { endDeviceId: 'none' },
      { endDeviceId: 'wrong' },
      { endDeviceId: 'hostile' },
      { endDeviceId: 'nan' },
      { organizationId: 'another' },
      { payload: Uint8Array.of(1, 0xc8) },
      { endDeviceId: 'dotted.id' },
      ...good,
    )
    await expect.poll(() => messagesIn('dead_letters'), WAIT).toBe(9)
    await expect.poll(() => script.rows.length, WAIT).toBe(50)
    await expect.poll(() => allAnswered('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    const letters = await deadLetters()
    expect(letters.map(({ reason }) => reason).sort()).toEqual([
      'device device belongs to organization organization, but the envelope says another; check the topic it was published on',
      expect.stringContaining('"dotted.id" cannot be part of a subject'),
      'device none has no payload conversion; set one (UpdateEndDevice) and replay',
      'device none has no payload conversion; set one (UpdateEndDevice) and replay',
      expect.stringMatching(/^not a raw envelope: /),
      'payload conversion of device device: line 1, column 1: Cayenne LPP: unknown type 200 at byte 1',
      expect.stringContaining(
        'payload conversion of device hostile: the expression ran longer than its time limit of 250 ms',
      ),
      'payload conversion of device nan: a is NaN, which JSON cannot say',
      'payload conversion of device wrong: line 1, column 7: unknown variable "nothing"; the payload is "input"',
    ])
    expect(new Set(letters.map(({ subject }) => subject))).toEqual(new Set(['dead_letters.raw_envelopes']))
    expect(log.count('the device has no payload conversion')).toBe(1)
    expect(log.count('an evaluation worker was stopped')).toBe(2)
  })

  it('lets all others pass while envelopes of one device wait for their evaluation', async () => {
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const processor = new RawEnvelopeProcessor({
      lookUp: async () => ({ kind: 'known', organizationId: 'organization', expression: LPP }),
      async evaluate({ key }) {
        if (key === 'slow') await released
        return { ok: true, data: DECODED, size: 50 }
      },
      now: () => 1n,
      onDeviceWithoutExpression: () => {},
    })
    const stopping = new AbortController()
    const running = runConsumer(
      {
        client,
        service: 'test',
        stream: 'raw_envelopes',
        durable: 'analytics-raw',
        filterSubject: 'raw_envelopes.>',
        batchSize: 2,
        maxAckPending: 100,
        batchWaitMs: 1,
        handle: createRawHandler({ processor, producer, rawStream: 'raw_envelopes', lastSeen: new LastSeen() }),
      },
      stopping.signal,
    )
    const names = Array.from({ length: 40 }, (_, index) => (index % 4 === 0 ? 'slow' : 'quick'))
    await publish(...names.map((endDeviceId) => ({ endDeviceId })))
    await expect.poll(() => messagesIn('processed_envelopes'), WAIT).toBe(30)
    const { num_ack_pending } = await client.manager.consumers.info('raw_envelopes', 'analytics-raw')
    expect(num_ack_pending).toBe(10)
    stopping.abort()
    release()
    await running
    expect(await messagesIn('processed_envelopes')).toBe(40)
    expect(await allAnswered('raw_envelopes', 'analytics-raw')).toBe(true)
  })

  it('processes the envelope of a device that appears a moment later', async () => {
    const { script, writer } = scriptedWriter()
    await startAnalytics(writer)
    await publish({ endDeviceId: 'late' })
    await expect.poll(() => unknown, WAIT).toContain('late')
    device('late')
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    expect(await messagesIn('dead_letters')).toBe(0)
  })
})

describe('P-6: the expression in force', () => {
  it('changes without a restart', async () => {
    device('device', '{"version": 1}')
    const { script, writer } = scriptedWriter()
    await startAnalytics(writer)
    await publish({})
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    device('device', '{"version": 2}')
    const dataOfNext = async (): Promise<unknown> => {
      await publish({})
      return script.rows.at(-1)?.envelope.data
    }
    await expect.poll(dataOfNext, WAIT).toEqual({ version: 2 })
  })
})

describe('P-1, P-6: a device that moves to another organization', () => {
  it('has its rows there from then on, and none of what is still sent for the old one', async () => {
    device('device')
    capturing = true
    const { script, writer } = scriptedWriter()
    const { log } = await startAnalytics(writer)
    await log.line('changed devices are heard of at once')
    await publish({})
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    const moved = { ...present(devices.get('device')), organizationId: 'other' }
    devices.set('device', moved)
    client.connection.publish('end_device.update', encodeEndDevice(moved))
    await client.connection.flush()
    await publish({ organizationId: 'other' }, {}, { organizationId: 'other' })
    await expect.poll(() => messagesIn('dead_letters'), WAIT).toBe(1)
    await expect.poll(() => script.rows.length, WAIT).toBe(3)
    const organizations = script.rows.map(({ envelope }) => envelope.organizationId)
    expect(organizations).toEqual(['organization', 'other', 'other'])
    const [letter] = await deadLetters()
    expect(letter?.reason).toContain('belongs to organization other, but the envelope says organization')
  })
})

describe('P-1, P-11: a clock that jumps', () => {
  it('changes nothing of when an envelope was received, and no device was heard in the future', async () => {
    device('device')
    const { script, writer } = scriptedWriter()
    const { analytics } = await startAnalytics(writer)
    const jumps = [-62_135_596_800_000_000n, 0n, 4_102_444_800_000_000n, 253_402_300_799_999_999n]
    await publish(...jumps.map((receivedAt) => ({ receivedAt })))
    await expect.poll(() => script.rows.length, WAIT).toBe(4)
    expect(new Set(script.rows.map(({ envelope }) => envelope.occurredAt))).toEqual(new Set(jumps))
    const [heard] = analytics.lastSeen.list()
    expect(heard?.last_seen).toMatch(/^20/)
    expect(new Date(heard?.last_seen ?? 0).getTime()).toBeLessThanOrEqual(Date.now())
  })
})

describe('P-8, P-10: rows are acknowledged when ClickHouse has them', () => {
  it('keeps everything while ClickHouse is away, takes no more than it can hold, and goes on by itself', async () => {
    device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    const { log } = await startAnalytics(writer)
    await publish(...Array.from({ length: 200 }, () => ({})))
    await expect.poll(() => script.attempts, WAIT).toBeGreaterThan(3)
    await expect.poll(() => messagesIn('processed_envelopes'), WAIT).toBe(200)
    expect(await allAnswered('processed_envelopes', 'analytics-processed')).toBe(false)
    expect(log.count('rows wait for ClickHouse')).toBe(1)
    script.available = true
    await expect.poll(() => script.rows.length, WAIT).toBe(200)
    await expect.poll(() => allAnswered('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    expect(new Set(script.rows.map((row) => row.identity)).size).toBe(200)
    expect(await messagesIn('dead_letters')).toBe(0)
  })

  it('stops while ClickHouse is away, and the next one stores what it had', async () => {
    device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    const first = await startAnalytics(writer)
    await publish(...Array.from({ length: 10 }, () => ({})))
    await expect.poll(() => script.attempts, WAIT).toBeGreaterThan(1)
    await first.stop()
    expect(script.rows).toEqual([])
    script.available = true
    await startAnalytics(writer)
    await expect.poll(() => script.rows.length, WAIT).toBe(10)
    expect(await messagesIn('dead_letters')).toBe(0)
  })

  it('puts a row that ClickHouse refuses, and a message that is no envelope, among the dead letters', async () => {
    device('device')
    device('bad')
    const { script, writer } = scriptedWriter()
    script.refuse = ({ envelope }) => (envelope.endDeviceId === 'bad' ? 'a column says no' : undefined)
    await startAnalytics(writer)
    const garbage = { subject: 'processed_envelopes.x', body: Uint8Array.of(0xff), messageId: 'garbage' }
    await producer.publish(garbage)
    await publish({}, { endDeviceId: 'bad' }, {})
    await expect.poll(() => messagesIn('dead_letters'), WAIT).toBe(2)
    await expect.poll(() => script.rows.length, WAIT).toBe(2)
    await expect.poll(() => allAnswered('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    const letters = await deadLetters()
    expect(letters.map(({ subject }) => subject)).toEqual([
      'dead_letters.processed_envelopes',
      'dead_letters.processed_envelopes',
    ])
    expect(letters.map(({ reason }) => reason).sort()).toEqual([
      'ClickHouse refused the envelope of device bad: a column says no',
      expect.stringMatching(/^not a processed envelope: /),
    ])
  })
})

describe('P-9: a replayed processed envelope', () => {
  it('has the identity that it had at first', async () => {
    const { script, writer } = scriptedWriter()
    const handle = createProcessedHandler({
      writer,
      processedStream: 'processed_envelopes',
      logger: probeLog().logger,
    })
    const envelope = { organizationId: 'organization', endDeviceId: 'device', data: DECODED }
    const delivery = (headers: Readonly<Record<string, string>>): Delivery => ({
      subject: 'processed_envelopes.device',
      body: encodeProcessedEnvelope({ ...envelope, occurredAt: 5n, processedAt: 6n }),
      header: (name) => headers[name],
      streamSequence: 3,
      attempt: 1,
      storedAtMs: 1000,
    })
    const first = { 'Nats-Msg-Id': 'raw_envelopes:7:1000' }
    const replayed = { 'Nats-Msg-Id': 'replay.1.2', [REPLAY_HEADERS.messageId]: 'raw_envelopes:7:1000' }
    await handle([delivery(first), delivery(replayed), delivery({})], new AbortController().signal)
    expect(script.rows.map(({ identity }) => identity)).toEqual([
      'raw_envelopes:7:1000',
      'raw_envelopes:7:1000',
      'processed_envelopes:3',
    ])
  })
})

/** The value of a metric, or of a part of one (`_sum`, `_count`), with these labels; undefined if there is none. */
async function metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
  const values = (await register.getMetricsAsJSON()).flatMap((found) =>
    found.values.map((value) => ({ metricName: found.name, ...value })),
  )
  const isMeant = (given: Readonly<Record<string, unknown>>): boolean =>
    Object.entries(labels).every(([key, text]) => given[key] === text)
  return values.find((value) => value.metricName === name && isMeant(value.labels))?.value
}

describe('P-11: metrics', () => {
  it('tell what came in, what went out, what failed and why, the batches, the delays and the lag', async () => {
    register.resetMetrics()
    device('device')
    device('none', '')
    device('wrong', '{"a": nothing}')
    const { script, writer } = scriptedWriter()
    script.refuse = (row) => (row.envelope.occurredAt === 1n ? 'a column says no' : undefined)
    await startAnalytics(writer)
    const receivedAt = BigInt(Date.now()) * 1000n
    await publish(...Array.from({ length: 5 }, () => ({ receivedAt })), { receivedAt: 1n })
    await publish({ endDeviceId: 'none' }, { endDeviceId: 'wrong' }, { endDeviceId: 'wrong' }, Uint8Array.of(0xff))
    await expect.poll(() => script.rows.length, WAIT).toBe(5)
    await expect.poll(() => messagesIn('dead_letters'), WAIT).toBe(5)
    await expect.poll(() => allAnswered('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    await expect.poll(() => allAnswered('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    const dead = { outcome: 'dead_letter' }
    const durables = { raw: { durable: 'analytics-raw' }, processed: { durable: 'analytics-processed' } }
    const table: readonly (readonly [number, string, Readonly<Record<string, string>>?])[] = [
      [6, 'ponix_nats_consumed_total', { ...durables.raw, outcome: 'ack' }],
      [4, 'ponix_nats_consumed_total', { ...durables.raw, ...dead }],
      [6, 'ponix_analytics_processed_total'],
      [5, 'ponix_analytics_stored_total'],
      [1, 'ponix_analytics_failed_total', { cause: 'undecodable', ...dead }],
      [1, 'ponix_analytics_failed_total', { cause: 'no_expression', ...dead }],
      [2, 'ponix_analytics_failed_total', { cause: 'expression', ...dead }],
      [1, 'ponix_analytics_failed_total', { cause: 'refused', ...dead }],
      [6, 'ponix_analytics_delay_seconds_count', { stage: 'processed' }],
      [5, 'ponix_analytics_delay_seconds_count', { stage: 'stored' }],
      [6, 'ponix_analytics_insert_rows_sum'],
      [10, 'ponix_nats_batch_size_sum', durables.raw],
      [6, 'ponix_nats_batch_size_sum', durables.processed],
    ]
    for (const [value, name, labels] of table) {
      await expect
        .poll(() => metric(name, labels), { ...WAIT, message: `${name} ${JSON.stringify(labels)}` })
        .toBe(value)
    }
    expect(await metric('ponix_analytics_insert_seconds_count')).toBe(await metric('ponix_analytics_insert_rows_count'))
    expect(await metric('ponix_nats_batch_seconds_count', durables.raw)).toBeGreaterThan(0)
  })

  it('show the lag while ClickHouse is away, and that an insert is tried again', async () => {
    register.resetMetrics()
    device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    await startAnalytics(writer)
    await publish(...Array.from({ length: 50 }, () => ({})))
    await expect.poll(() => metric('ponix_analytics_insert_retries_total'), WAIT).toBeGreaterThan(1)
    const waiting = async (): Promise<number> =>
      ((await metric('ponix_nats_pending', { durable: 'analytics-processed' })) ?? 0) +
      ((await metric('ponix_nats_ack_pending', { durable: 'analytics-processed' })) ?? 0)
    await expect.poll(waiting, WAIT).toBe(50)
    expect(await metric('ponix_analytics_stored_total')).toBe(0)
    script.available = true
    await expect.poll(() => metric('ponix_analytics_stored_total'), WAIT).toBe(50)
  })
})

describe('P-11: when each device was last heard', () => {
  it('is told by the envelope that is newest, not by the one that came last, and never lies in the future', () => {
    const lastSeen = new LastSeen()
    const note = (endDeviceId: string, occurredAt: bigint): void =>
      lastSeen.note({ organizationId: 'organization', endDeviceId, occurredAt, processedAt: 9_000_000n, data: {} })
    note('a', 2_000_000n)
    note('b', 3_000_000n)
    note('a', 1_000_000n)
    note('ahead', 4_000_000_000_000n)
    const organization_id = 'organization'
    expect(lastSeen.list()).toEqual([
      { end_device_id: 'ahead', organization_id, last_seen: '1970-01-01T00:00:09.000000Z' },
      { end_device_id: 'b', organization_id, last_seen: '1970-01-01T00:00:03.000000Z' },
      { end_device_id: 'a', organization_id, last_seen: '1970-01-01T00:00:02.000000Z' },
    ])
  })
})

describe('P-12: many side by side', () => {
  it('share the load, and make exactly one row of each envelope', async () => {
    for (let index = 0; index < 10; index++) device(`device-${index}`)
    const [one, other] = [scriptedWriter(), scriptedWriter()]
    const second = await connectTo(server.url)
    await startAnalytics(one.writer)
    await startAnalytics(other.writer, second)
    stops.push(() => second.drain())
    await publish(...Array.from({ length: 2000 }, (_, index) => ({ endDeviceId: `device-${index % 10}` })))
    await expect.poll(() => one.script.rows.length + other.script.rows.length, WAIT).toBe(2000)
    expect(new Set([...one.script.rows, ...other.script.rows].map((row) => row.identity)).size).toBe(2000)
    expect(one.script.rows.length).toBeGreaterThan(0)
    expect(other.script.rows.length).toBeGreaterThan(0)
  })
})

describe('P-10: NATS killed in the middle', () => {
  it('loses nothing', async () => {
    device('device')
    const { script, writer } = scriptedWriter()
    await startAnalytics(writer)
    const publishing = publish(...Array.from({ length: 1000 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBeGreaterThan(0)
    await server.kill()
    await server.start()
    await publishing
    const occurred = (): number => new Set(script.rows.map((row) => row.envelope.occurredAt)).size
    await expect.poll(occurred, WAIT).toBe(1000)
    expect(await messagesIn('dead_letters')).toBe(0)
  })
})
