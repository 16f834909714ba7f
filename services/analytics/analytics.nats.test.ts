import { toBinary } from '@bufbuild/protobuf'
import { describe, expect, it } from 'vitest'
import { analyticsForEach, DECODED, PAYLOAD, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'
import { rawRig } from '../../test/rig/services/raw-rig.ts'
import type { PulledDelivery } from '../../src/nats/delivery.ts'
import { REPLAY_HEADERS } from '../../src/nats/dead-letters.ts'
import { endDeviceToProto } from '../../src/proto/entities.ts'
import { EndDeviceSchema } from '../../src/proto/gen/ponix/end_device/v1/end_device_pb.ts'
import { encodeRawEnvelope } from '../../src/proto/envelope.ts'
import { createRawHandler } from './raw-consumer.ts'

const stage = analyticsForEach()

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('missing')
  return value
}

describe('P-1: analytics converts raw envelopes to rows', () => {
  it('stores exactly 100 rows for 100 envelopes and acknowledges all', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    const { stop } = await stage.startAnalytics(writer)
    await stage.publish(...Array.from({ length: 100 }, () => ({})))
    await expect.poll(() => script.rows.length, WAIT).toBe(100)
    expect(script.rows.map((row) => row.envelope.data)).toEqual(Array.from({ length: 100 }, () => DECODED))
    expect(new Set(script.rows.map((row) => row.envelope.occurredAt)).size).toBe(100)
    expect(new Set(script.rows.map((row) => row.envelopeId)).size).toBe(100)
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    await expect.poll(() => stage.allAcknowledged('processed_envelopes', 'analytics-processed'), WAIT).toBe(true)
    expect(script.rows).toHaveLength(100)
    expect(await stage.messagesIn('dead_letters')).toBe(0)
    await stop()
    expect(stage.lastSeen).toEqual(new Map([['device', 1_700_000_000_000_099n]]))
  })

  it('P-11: writes the error of a payload of a device, but not that of another organization', async () => {
    stage.device('wrong', '{"a": nothing}')
    stage.device('none', '')
    stage.device('refused', '{"n": 1}')
    stage.device('spoofed')
    const { script, writer } = scriptedWriter()
    script.reject = ({ envelope }) => (envelope.endDeviceId === 'refused' ? 'invalid column' : undefined)
    const { stop } = await stage.startAnalytics(writer)
    await stage.publish({ endDeviceId: 'wrong' }, { endDeviceId: 'none' }, { endDeviceId: 'refused' })
    await stage.publish({ endDeviceId: 'spoofed', organizationId: 'other' })
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(4)
    await stop()
    expect(Object.fromEntries(stage.lastErrors)).toEqual({
      wrong: expect.stringContaining('unknown variable "nothing"'),
      none: expect.stringContaining('has no payload conversion'),
      refused: 'ClickHouse rejected the envelope of device refused: invalid column',
    })
  })

  it('publishes processed envelopes on the subject of the device', async () => {
    stage.device('device')
    await stage.startAnalytics(scriptedWriter().writer)
    await stage.publish({})
    await expect.poll(() => stage.messagesIn('processed_envelopes'), WAIT).toBe(1)
    const message = await stage.client.manager.streams.getMessage('processed_envelopes', { seq: 1 })
    expect(message?.subject).toBe('processed_envelopes.device')
  })

  it('stores one message for an envelope that is redelivered or replayed', async () => {
    const { parts } = rawRig({ ...stage, evaluate: async () => ({ ok: true, data: DECODED, size: 50 }) })
    const handle = createRawHandler(parts)
    const delivery = (streamSequence: number, storedAtMs: number, replayOf?: string): PulledDelivery => ({
      subject: 'raw_envelopes.any',
      body: encodeRawEnvelope({
        organizationId: 'organization',
        endDeviceId: 'device',
        payload: PAYLOAD,
        receivedAt: 5n,
      }),
      header: (name) => (name === REPLAY_HEADERS.of ? replayOf : undefined),
      headers: () => ({}),
      headerBlock: new Uint8Array(),
      streamSequence,
      attempt: 1,
      pending: 0,
      storedAtMs,
    })
    const signal = new AbortController().signal
    const answers = await Promise.all(await handle([delivery(7, 1000), delivery(7, 1000)], signal))
    expect(answers).toEqual([{ kind: 'ack' }, { kind: 'ack' }])
    expect(await stage.messagesIn('processed_envelopes')).toBe(1)
    await Promise.all(await handle([delivery(8, 1000), delivery(7, 2000)], signal))
    expect(await stage.messagesIn('processed_envelopes')).toBe(3)
    await Promise.all(await handle([delivery(9, 3000, 'raw_envelopes:7:1000')], signal))
    expect(await stage.messagesIn('processed_envelopes')).toBe(3)
  })
})

describe('P-6: a changed expression of a device', () => {
  it('takes effect without a restart', async () => {
    stage.device('device', '{"version": 1}')
    const { script, writer } = scriptedWriter()
    await stage.startAnalytics(writer)
    await stage.publish({})
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    stage.device('device', '{"version": 2}')
    const dataOfNext = async (): Promise<unknown> => {
      await stage.publish({})
      return script.rows.at(-1)?.envelope.data
    }
    await expect.poll(dataOfNext, WAIT).toEqual({ version: 2 })
  })
})

describe('P-1, P-6: a device that moves to another organization', () => {
  it('gets new rows there; envelopes of the old organization become dead letters', async () => {
    stage.device('device')
    stage.captureChanges()
    const { script, writer } = scriptedWriter()
    const { log } = await stage.startAnalytics(writer)
    await log.line('CDC events available')
    await stage.publish({})
    await expect.poll(() => script.rows.length, WAIT).toBe(1)
    const moved = { ...present(stage.devices.get('device')), organizationId: 'other' }
    stage.devices.set('device', moved)
    stage.client.connection.publish('end_device.update', toBinary(EndDeviceSchema, endDeviceToProto(moved)))
    await stage.client.connection.flush()
    await stage.publish({ organizationId: 'other' }, {}, { organizationId: 'other' })
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(1)
    await expect.poll(() => script.rows.length, WAIT).toBe(3)
    const organizations = script.rows.map(({ envelope }) => envelope.organizationId)
    expect(organizations).toEqual(['organization', 'other', 'other'])
    const [letter] = await stage.deadLetters()
    expect(letter?.reason).toContain('belongs to organization other, but the envelope names organization')
  })
})

describe('P-1, P-11: a wrong gateway clock', () => {
  it('determines occurred_at, but last-seen times are never in the future', async () => {
    stage.device('device')
    const { script, writer } = scriptedWriter()
    const { stop } = await stage.startAnalytics(writer)
    const jumps = [-62_135_596_800_000_000n, 0n, 4_102_444_800_000_000n, 253_402_300_799_999_999n]
    await stage.publish(...jumps.map((receivedAt) => ({ receivedAt })))
    await expect.poll(() => script.rows.length, WAIT).toBe(4)
    expect(new Set(script.rows.map(({ envelope }) => envelope.occurredAt))).toEqual(new Set(jumps))
    await stop()
    const seenAt = Number(present(stage.lastSeen.get('device'))) / 1000
    expect(seenAt).toBeGreaterThan(1_700_000_000_000)
    expect(seenAt).toBeLessThanOrEqual(Date.now())
  })
})
