import { register } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { analyticsForEach, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'
import { rawRig } from '../../test/rig/services/raw-rig.ts'
import type { JsonValue } from '../../src/domain/entities.ts'
import { PublishError } from '../../src/domain/errors.ts'
import type { Producer } from '../../src/nats/publisher/producer.ts'

const stage = analyticsForEach()

/** The ids of the processed envelopes in their stream, ordered by index. */
async function storedIds(): Promise<string[]> {
  const { state } = await stage.client.manager.streams.info('processed_envelopes')
  const ids: string[] = []
  for (let seq = 1; seq <= state.last_seq; seq += 1) {
    const message = await stage.client.manager.streams.getMessage('processed_envelopes', { seq })
    ids.push(message?.header.get('Nats-Msg-Id') ?? '')
  }
  return ids.toSorted((one, other) => indexIn(one) - indexIn(other))
}

function indexIn(id: string): number {
  return Number(id.split('#')[1])
}

function listOf(length: number, textLength = 1): JsonValue[] {
  return Array.from({ length }, (_, n) => ({ age_s: n, data: { n, text: 'x'.repeat(textLength) } }))
}

/** Starts a consumer for which every payload has this result. */
function start(data: JsonValue[], producer: Producer = stage.producer) {
  const rig = rawRig({
    client: stage.client,
    producer,
    evaluate: async () => ({ ok: true, data, size: 50 }),
  })
  return { ...rig, running: rig.start() }
}

describe('P-9: the readings of a payload', () => {
  it('become a row each, with the time of the reading and an id with its index', async () => {
    stage.device('device', '[0, 60, 3600].map(age, {"age_s": age, "data": {"age": age}})')
    const { script, writer } = scriptedWriter()
    const { stop } = await stage.startAnalytics(writer)
    await stage.publish({ receivedAt: 1_700_000_000_000_000n })
    await expect.poll(() => script.rows.length, WAIT).toBe(3)
    const rows = script.rows.toSorted((one, other) => indexIn(one.envelopeId) - indexIn(other.envelopeId))
    expect(rows.map(({ envelope: { occurredAt, data } }) => [occurredAt, data])).toEqual([
      [1_700_000_000_000_000n, { age: 0 }],
      [1_699_999_940_000_000n, { age: 60 }],
      [1_699_996_400_000_000n, { age: 3600 }],
    ])
    const base = rows[0]?.envelopeId.replace('#0', '') ?? ''
    expect(base).toMatch(/^raw_envelopes:1:\d+$/)
    expect(rows.map(({ envelopeId }) => envelopeId)).toEqual([`${base}#0`, `${base}#1`, `${base}#2`])
    await stop()
    expect(stage.lastSeen).toEqual(new Map([['device', 1_700_000_000_000_000n]]))
  })

  it('are stored once each if the publication of some fails and the payload is delivered again', async () => {
    let published = 0
    const producer: Producer = {
      publish: async (publication) => {
        published += 1
        if (published === 40) throw new Error('the connection was lost')
        return await stage.producer.publish(publication)
      },
      close: () => {},
    }
    const { running, released } = start(listOf(100), producer)
    await stage.publish({})
    await expect.poll(() => released, WAIT).toEqual([50, 50])
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    await running.stop()
    const ids = await storedIds()
    expect(ids.map(indexIn)).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(new Set(ids.map((id) => id.split('#')[0])).size).toBe(1)
    expect(published).toBeGreaterThan(100)
  })

  it('are a dead letter alone if NATS does not accept one of them', async () => {
    const producer: Producer = {
      publish: async (publication) => {
        if (publication.body.length > 500) throw new PublishError('too_large', 'too large')
        return await stage.producer.publish(publication)
      },
      close: () => {},
    }
    const { running, released } = start([...listOf(50), ...listOf(1, 1000), ...listOf(50)], producer)
    await stage.publish({})
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(1)
    await running.stop()
    expect(await stage.messagesIn('processed_envelopes')).toBe(0)
    expect(released).toEqual([50])
  })

  it('are a dead letter if they take more than 8 MiB with the metadata that each repeats', async () => {
    const { running } = start(listOf(1000))
    await stage.publish({ uplink: { metadata: { text: 'x'.repeat(10_000) } } })
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(1)
    await running.stop()
    expect(await stage.messagesIn('processed_envelopes')).toBe(0)
    const [letter] = await stage.deadLetters()
    expect(letter?.reason).toMatch(
      /^device device: its 1000 readings take 10\d{6} bytes, with .* at most 8388608 are allowed$/,
    )
  })

  it('can be none: the payload has no row, is acknowledged and counted', async () => {
    register.resetMetrics()
    const { running, released } = start([])
    await stage.publish({})
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    await running.stop()
    expect(released).toEqual([50])
    expect(await register.getSingleMetricAsString('ponix_analytics_without_readings_total')).toMatch(/_total 1$/m)
    expect(await stage.messagesIn('processed_envelopes')).toBe(0)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('do not count as delayed if they are older than their payload', async () => {
    register.resetMetrics()
    stage.device('device', '[{"age_s": 86400, "data": {}}]')
    const { script, writer } = scriptedWriter()
    const { stop } = await stage.startAnalytics(writer)
    await stage.publish({ receivedAt: BigInt(Date.now()) * 1000n })
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    await stop()
    const delays = await register.getSingleMetricAsString('ponix_analytics_delay_seconds')
    expect(delays).toMatch(/_bucket\{le="3600",stage="processed"\} 1$/m)
    expect(delays).toMatch(/_bucket\{le="3600",stage="stored"\} 1$/m)
  })
})
