import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AnalyticsFleet } from '../../test/rig/services/analytics-fleet.ts'
import { storedEvents } from '../../test/rig/services/cdc-rig.ts'
import { ORGANIZATION, startPipeline, type Pipeline } from '../../test/rig/services/pipeline.ts'
import { ServiceProcess } from '../../test/rig/program.ts'
import { DEAD_LETTER_HEADERS } from '../../src/nats/dead-letters.ts'
import { createProducer } from '../../src/nats/publisher/producer.ts'
import { decodeRawEnvelope, encodeRawEnvelope } from '../../src/proto/envelope.ts'

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

/** Publishes an envelope of a device for each of these microseconds, at which they were received. */
async function publish(endDeviceId: string, ...microseconds: readonly number[]): Promise<void> {
  const producer = createProducer(pipeline.nats)
  await Promise.all(
    microseconds.map((microsecond) => {
      const receivedAt = 1_767_323_045_000_000n + BigInt(microsecond)
      const payload = new Uint8Array()
      const body = encodeRawEnvelope({ organizationId: ORGANIZATION, endDeviceId, payload, receivedAt })
      const messageId = `${endDeviceId}-${microsecond}`
      return producer.publish({ subject: `raw_envelopes.${endDeviceId}`, body, messageId })
    }),
  )
  producer.close()
}

async function versions(device = DEVICE): Promise<unknown> {
  const rows = await pipeline.query<{ version: number }>(
    'SELECT data.version.:Float64 AS version FROM processed_envelopes WHERE end_device_id = {device: String} ORDER BY occurred_at',
    { device },
  )
  return rows.map(({ version }) => version)
}

const eventsOf = async (entity: string): Promise<number> =>
  (await pipeline.nats.manager.streams.info('entities', { subjects_filter: `${entity}.*` })).state.messages

describe('P-6, P-11: analytics and cdc as programs', () => {
  it('an envelope published after the event of a changed expression is converted by it and updates last_seen_at', async () => {
    const { process } = await fleet.add()
    await process.line('CDC events available')
    await publish(DEVICE, 1)
    await expect.poll(versions, WAIT).toEqual([1])
    const before = await eventsOf('end_device')
    await pipeline.endDevices.update(DEVICE, { payloadConversion: '{"version": 2}' })
    await expect.poll(() => eventsOf('end_device'), WAIT).toBe(before + 1)
    await publish(DEVICE, 2)
    await expect.poll(versions, WAIT).toEqual([1, 2])
    expect(await process.stop()).toBe(0)
    expect((await pipeline.endDevices.get(DEVICE))?.lastSeenAt).toBe(1_767_323_045_000_002n)
  })

  it('envelopes of two devices published after the event of their changed profile are converted by its new codec', async () => {
    const codec = (version: number) => `function decodeUplink() { return { data: { version: ${version} } } }`
    const two = ['first', 'second'] as const
    await pipeline.createProfiledDevice('first', codec(1))
    await pipeline.createDevice('second', '', 'first')
    const { process } = await fleet.add()
    await process.line('CDC events available')
    for (const device of two) await publish(device, 1)
    for (const device of two) await expect.poll(() => versions(device), WAIT).toEqual([1])
    const before = await eventsOf('device_profile')
    await pipeline.profiles.update('first', { codecSource: codec(2) })
    await expect.poll(() => eventsOf('device_profile'), WAIT).toBe(before + 1)
    for (const device of two) await publish(device, 2)
    for (const device of two) await expect.poll(() => versions(device), WAIT).toEqual([1, 2])
    expect(await process.stop()).toBe(0)
  })
})

const messagesIn = async (stream: string): Promise<number> =>
  (await pipeline.nats.manager.streams.info(stream)).state.messages

/** Returns the number of raw envelopes that analytics has not acknowledged. */
async function unfinishedRaw(): Promise<number> {
  const { num_pending, num_ack_pending } = await pipeline.nats.manager.consumers.info('raw_envelopes', 'analytics-raw')
  return num_pending + num_ack_pending
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number)
}

describe('B-4: envelopes of unknown devices, with analytics and cdc as programs', () => {
  it('are stored exactly once if their device is created while they wait, in spite of several instances', async () => {
    await using instances = new AnalyticsFleet({
      ...pipeline.variables,
      PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: '86400',
    })
    const members = [await instances.add(), await instances.add()]
    await Promise.all(members.map(({ process }) => process.line('CDC events available')))
    await publish('late', ...numbers(500))
    await expect.poll(() => messagesIn('deferred_envelopes'), WAIT).toBe(500)
    await pipeline.createDevice('late', '{"version": 1}')
    const rows = `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(occurred_at)) AS envelopes
      FROM processed_envelopes WHERE end_device_id = 'late'`
    await expect.poll(() => pipeline.query(rows), WAIT).toEqual([{ rows: 500, envelopes: 500 }])
    await expect.poll(() => messagesIn('deferred_envelopes'), WAIT).toBe(0)
    expect(await messagesIn('dead_letters')).toBe(0)
  }, 120_000)

  it('become exactly one dead letter each after their wait, although the process is killed meanwhile', async () => {
    await using instances = new AnalyticsFleet({
      ...pipeline.variables,
      PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: '2',
    })
    const first = await instances.add()
    await publish('missing', ...numbers(3000))
    await expect.poll(() => messagesIn('dead_letters'), { ...WAIT, interval: 1 }).toBeGreaterThan(0)
    await first.kill()
    expect(await messagesIn('dead_letters')).toBeLessThan(3000)
    await instances.add()
    // Until their redelivery, those that the killed process had not deferred are in neither stream.
    await expect.poll(unfinishedRaw, WAIT).toBe(0)
    await expect.poll(() => messagesIn('deferred_envelopes'), WAIT).toBe(0)
    const letters = await storedEvents(pipeline.nats, 'dead_letters')
    const received = letters.map(({ body }) => decodeRawEnvelope(body).receivedAt)
    expect([received.length, new Set(received).size]).toEqual([3000, 3000])
    const reasons = letters.map((letter) => letter.header(DEAD_LETTER_HEADERS.reason))
    expect(new Set(reasons)).toEqual(new Set(['device missing does not exist; create it and replay']))
  }, 120_000)
})
