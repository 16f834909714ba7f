import { register } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { analyticsForEach, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'

const stage = analyticsForEach()

/** Returns the value of a metric (or its `_sum` or `_count`) with these labels; undefined if missing. */
async function metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
  const values = (await register.getMetricsAsJSON()).flatMap((found) =>
    found.values.map((value) => ({ metricName: found.name, ...value })),
  )
  const hasLabels = (given: Readonly<Record<string, unknown>>): boolean =>
    Object.entries(labels).every(([key, text]) => given[key] === text)
  return values.find((value) => value.metricName === name && hasLabels(value.labels))?.value
}

describe('P-11: metrics', () => {
  it('the metrics count inputs, outputs and failures by cause, and measure batches, delays and lag', async () => {
    register.resetMetrics()
    stage.device('device')
    stage.device('none', '')
    stage.device('wrong', '{"a": nothing}')
    const { script, writer } = scriptedWriter()
    script.reject = (row) => (row.envelope.occurredAt === 1n ? 'invalid column' : undefined)
    await stage.startAnalytics(writer)
    const receivedAt = BigInt(Date.now()) * 1000n
    await stage.publish(...Array.from({ length: 5 }, () => ({ receivedAt })), { receivedAt: 1n })
    await stage.publish(
      { endDeviceId: 'none' },
      { endDeviceId: 'wrong' },
      { endDeviceId: 'wrong' },
      Uint8Array.of(0xff),
    )
    await expect.poll(() => script.rows.length, WAIT).toBe(5)
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(5)
    await expect.poll(() => stage.allAcknowledged('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
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

  it('the metrics show lag and insert retries while ClickHouse is unavailable', async () => {
    register.resetMetrics()
    stage.device('device')
    const { script, writer } = scriptedWriter()
    script.available = false
    await stage.startAnalytics(writer)
    await stage.publish(...Array.from({ length: 50 }, () => ({})))
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
