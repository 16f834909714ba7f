import { describe, expect, it } from 'vitest'
import { analyticsForEach, DECODED, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'
import { connectTo, probeLog } from '../../test/rig/adapters/nats-client.ts'
import type { Delivery } from '../../src/nats/delivery.ts'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import { encodeProcessedEnvelope } from '../../src/proto/envelope.ts'
import { createProcessedHandler } from './processed-consumer.ts'

const stage = analyticsForEach()

describe('P-8, P-10: rows are acknowledged after ClickHouse has stored them', () => {
  it('a ClickHouse outage delays rows, loses none, and becomes no dead letter', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    const { log } = await stage.startAnalytics(writer)
    await stage.publish(...Array.from({ length: 200 }, () => ({})))
    await expect.poll(() => script.attempts, WAIT).toBeGreaterThan(3)
    await expect.poll(() => stage.messagesIn('processed_envelopes'), WAIT).toBe(200)
    expect(await stage.allAcknowledged('processed_envelopes', 'analytics-processed')).toBe(false)
    expect(log.count('retrying until ClickHouse accepts the rows')).toBe(1)
    script.available = true
    await expect.poll(() => script.rows.length, WAIT).toBe(200)
    await expect.poll(() => stage.allAcknowledged('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    expect(new Set(script.rows.map((row) => row.envelopeId)).size).toBe(200)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('the next process stores the rows that were unstored when the service stopped during an outage', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    const first = await stage.startAnalytics(writer)
    await stage.publish(...Array.from({ length: 10 }, () => ({})))
    await expect.poll(() => script.attempts, WAIT).toBeGreaterThan(1)
    await first.stop()
    expect(script.rows).toEqual([])
    script.available = true
    await stage.startAnalytics(writer)
    await expect.poll(() => script.rows.length, WAIT).toBe(10)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('a rejected row and a message that is not an envelope become dead letters', async () => {
    stage.device('device')
    stage.device('bad')
    const { script, writer } = scriptedWriter()
    script.reject = ({ envelope }) => (envelope.endDeviceId === 'bad' ? 'invalid column' : undefined)
    await stage.startAnalytics(writer)
    const garbage = { subject: 'processed_envelopes.x', body: Uint8Array.of(0xff), messageId: 'garbage' }
    await stage.producer.publish(garbage)
    await stage.publish({}, { endDeviceId: 'bad' }, {})
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(2)
    await expect.poll(() => script.rows.length, WAIT).toBe(2)
    await expect.poll(() => stage.allAcknowledged('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    const letters = await stage.deadLetters()
    expect(letters.map(({ subject }) => subject)).toEqual([
      'dead_letters.processed_envelopes',
      'dead_letters.processed_envelopes',
    ])
    expect(letters.map(({ reason }) => reason).sort()).toEqual([
      'ClickHouse rejected the envelope of device bad: invalid column',
      expect.stringMatching(/^not a processed envelope: /),
    ])
  })
})

describe('P-9: a replayed processed envelope', () => {
  it('keeps its original envelope id', async () => {
    const { script, writer } = scriptedWriter()
    const handle = createProcessedHandler({
      writer,
      processedStream: 'processed_envelopes',
      logger: probeLog().logger,
      lastSeen: { record: () => {} },
    })
    const envelope = { organizationId: 'organization', endDeviceId: 'device', data: DECODED }
    const delivery = (headers: Readonly<Record<string, string>>): Delivery => ({
      subject: 'processed_envelopes.device',
      body: encodeProcessedEnvelope({ ...envelope, occurredAt: 5n, processedAt: 6n }),
      header: (name) => headers[name],
      headers: () => ({}),
      streamSequence: 3,
      attempt: 1,
      storedAtMs: 1000,
    })
    const first = { 'Nats-Msg-Id': 'raw_envelopes:7:1000' }
    const replayed = { 'Nats-Msg-Id': 'replay.1.2', [REPLAY_HEADERS.messageId]: 'raw_envelopes:7:1000' }
    await handle([delivery(first), delivery(replayed), delivery({})], new AbortController().signal)
    expect(script.rows.map(({ envelopeId }) => envelopeId)).toEqual([
      'raw_envelopes:7:1000',
      'raw_envelopes:7:1000',
      'processed_envelopes:3',
    ])
  })
})

describe('P-12: concurrent instances', () => {
  it('share the load and store each envelope exactly once', async () => {
    for (let index = 0; index < 10; index++) stage.device(`device-${index}`)
    const [one, other] = [scriptedWriter(), scriptedWriter()]
    const second = await connectTo(stage.server.url)
    await stage.startAnalytics(one.writer)
    await stage.startAnalytics(other.writer, second)
    stage.stops.push(() => second.drain())
    await stage.publish(...Array.from({ length: 2000 }, (_, index) => ({ endDeviceId: `device-${index % 10}` })))
    await expect.poll(() => one.script.rows.length + other.script.rows.length, WAIT).toBe(2000)
    expect(new Set([...one.script.rows, ...other.script.rows].map((row) => row.envelopeId)).size).toBe(2000)
    expect(one.script.rows.length).toBeGreaterThan(0)
    expect(other.script.rows.length).toBeGreaterThan(0)
  })
})

describe('P-10: a kill of NATS under load', () => {
  it('loses no envelope', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    await stage.startAnalytics(writer)
    const publishing = stage.publish(...Array.from({ length: 1000 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBeGreaterThan(0)
    await stage.server.kill()
    await stage.server.start()
    await publishing
    const occurred = (): number => new Set(script.rows.map((row) => row.envelope.occurredAt)).size
    await expect.poll(occurred, WAIT).toBe(1000)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })
})
