import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AnalyticsFleet } from '../../test/rig/services/analytics-fleet.ts'
import { ORGANIZATION, startPipeline, type Pipeline } from '../../test/rig/services/pipeline.ts'
import { ServiceProcess } from '../../test/rig/program.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'

const WAIT = { timeout: 30_000, interval: 20 }
const DEVICE = 'device'

let pipeline: Pipeline
let cdc: ServiceProcess
let fleet: AnalyticsFleet

beforeAll(async () => {
  pipeline = await startPipeline()
  cdc = new ServiceProcess('cdc', pipeline.variables)
  await cdc.line('streaming changes')
  fleet = new AnalyticsFleet(pipeline.variables)
  await pipeline.createDevice(DEVICE, '{"version": 1}')
}, 120_000)

afterAll(async () => {
  await fleet[Symbol.asyncDispose]()
  await cdc.kill()
  await pipeline.stop()
})

/** Publishes an envelope received at this microsecond. */
async function publish(microsecond: number): Promise<void> {
  const producer = createProducer(pipeline.nats)
  const receivedAt = 1_767_323_045_000_000n + BigInt(microsecond)
  const body = encodeRawEnvelope({
    organizationId: ORGANIZATION,
    endDeviceId: DEVICE,
    payload: new Uint8Array(),
    receivedAt,
  })
  await producer.publish({ subject: `raw_envelopes.${DEVICE}`, body, messageId: String(microsecond) })
  producer.close()
}

async function versions(): Promise<unknown> {
  const rows = await pipeline.query<{ version: number }>(
    'SELECT data.version.:Float64 AS version FROM processed_envelopes ORDER BY occurred_at',
  )
  return rows.map(({ version }) => version)
}

const eventsOfDevices = async (): Promise<number> =>
  (await pipeline.nats.manager.streams.info('entities', { subjects_filter: 'end_device.*' })).state.messages

describe('P-6, P-11: analytics and cdc as programs', () => {
  it('an envelope published after the event of a changed expression is converted by it and updates last_seen_at', async () => {
    const { process } = await fleet.add()
    await process.line('CDC events available')
    await publish(1)
    await expect.poll(versions, WAIT).toEqual([1])
    const before = await eventsOfDevices()
    await pipeline.endDevices.update(DEVICE, { payloadConversion: '{"version": 2}' })
    await expect.poll(eventsOfDevices, WAIT).toBe(before + 1)
    await publish(2)
    await expect.poll(versions, WAIT).toEqual([1, 2])
    expect(await process.stop()).toBe(0)
    expect((await pipeline.endDevices.get(DEVICE))?.lastSeenAt).toBe(1_767_323_045_000_002n)
  })
})
