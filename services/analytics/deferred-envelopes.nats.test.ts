import { toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { replayDeadLetter } from '../../src/nats/dead-letters.ts'
import { endDeviceToProto } from '../../src/proto/entities.ts'
import { EndDeviceSchema } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { analyticsForEach, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'

const stage = analyticsForEach()

const FOREVER = { PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: '86400' }
const NO_TIME = { PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: '0' }
const DEFERRED = 'deferred_envelopes'

/** Starts analytics with these variables. */
async function start(variables: Readonly<Record<string, string>>) {
  const { script, writer } = scriptedWriter()
  return { script, ...(await stage.startAnalytics(writer, stage.client, variables)) }
}

/** Creates a device and publishes its event. */
async function createDevice(id: string): Promise<void> {
  stage.device(id)
  const device = stage.devices.get(id)
  if (device === undefined) throw new Error('missing')
  stage.client.connection.publish('end_device.create', toBinary(EndDeviceSchema, endDeviceToProto(device)))
  await stage.client.connection.flush()
}

function unknown(count: number, organizationId = 'organization') {
  return Array.from({ length: count }, (_, number) => ({ endDeviceId: `unknown-${number}`, organizationId }))
}

describe('B-4: envelopes of unknown devices', () => {
  it('30,000 of them, which wait for their devices, do not delay a known device', async () => {
    stage.device('device')
    const { script } = await start(FOREVER)
    await stage.publish(...['one', 'two', 'three'].flatMap((organization) => unknown(10_000, organization)))
    await stage.publish(...Array.from({ length: 10 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBe(10)
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(30_000)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('become rows, each once, when an event reports their device, and others wait further', async () => {
    stage.captureChanges()
    const { script, log } = await start(FOREVER)
    await log.line('CDC events available')
    await stage.publish(
      ...unknown(500),
      ...Array.from({ length: 50 }, () => ({ endDeviceId: 'late' })),
      ...unknown(500),
    )
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(1050)
    await createDevice('late')
    await expect.poll(() => script.rows.length, WAIT).toBe(50)
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(1000)
    expect(new Set(script.rows.map(({ envelopeId }) => envelopeId)).size).toBe(50)
    expect(await stage.messagesIn('processed_envelopes')).toBe(50)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
    expect(log.count('waiting 86400 s for unknown devices: device unknown-0 does not exist')).toBe(1)
  })

  it('become rows when their wait ends if their device exists by then, although no event reported it', async () => {
    const { script } = await start({ PONIX_ANALYTICS_UNKNOWN_DEVICE_WAIT_SECS: '3' })
    await stage.publish({ endDeviceId: 'late' })
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(1)
    stage.device('late')
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(0)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })

  it('beyond the share of their organization become dead letters with the reason, and those of another wait', async () => {
    await stage.client.manager.streams.update(DEFERRED, { max_msgs_per_subject: 10 })
    await start(FOREVER)
    await stage.publish(...unknown(25), ...unknown(5, 'another'))
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(15)
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(15)
    const [letter] = await stage.deadLetters()
    expect(letter).toMatchObject({
      subject: 'dead_letters.raw_envelopes',
      reason: expect.stringMatching(
        /^device unknown-\d+ does not exist; create it and replay; the envelope cannot wait for it: stream deferred_envelopes: maximum messages per subject exceeded$/,
      ),
    })
  })

  it('wait further after a stop of the service, and become dead letters when their wait ends', async () => {
    const first = await start(FOREVER)
    await stage.publish(...unknown(20))
    const held = async () => (await stage.client.manager.consumers.info(DEFERRED, 'analytics-deferred')).num_ack_pending
    await expect.poll(held, WAIT).toBe(20)
    await first.stop()
    expect(await stage.messagesIn(DEFERRED)).toBe(20)
    await start(NO_TIME)
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(20)
    await expect.poll(() => stage.messagesIn(DEFERRED), WAIT).toBe(0)
    const letters = await stage.deadLetters()
    expect(new Set(letters.map(({ subject }) => subject))).toEqual(new Set(['dead_letters.raw_envelopes']))
    expect(letters.map(({ reason }) => reason).sort()).toEqual(
      unknown(20)
        .map(({ endDeviceId }) => `device ${endDeviceId} does not exist; create it and replay`)
        .sort(),
    )
  })

  it('that became dead letters become one row each, also when they are replayed repeatedly', async () => {
    stage.captureChanges()
    const { script, log } = await start(NO_TIME)
    await log.line('CDC events available')
    await stage.publish({ endDeviceId: 'late' })
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(1)
    await replayDeadLetter(stage.client, 1)
    await expect
      .poll(async () => (await stage.client.manager.streams.info('dead_letters')).state.last_seq, WAIT)
      .toBe(2)
    await createDevice('late')
    await replayDeadLetter(stage.client, 2)
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    const original = await stage.client.manager.streams.getMessage('raw_envelopes', { seq: 1 })
    expect(script.rows[0]?.envelopeId).toBe(`raw_envelopes:1:${original?.time.getTime()}`)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
  })
})
