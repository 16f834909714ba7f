import { describe, expect, it } from 'vitest'
import { analyticsForEach, DECODED, scriptedWriter, WAIT } from '../../test/rig/services/analytics-rig.ts'
import { rawRig } from '../../test/rig/services/raw-rig.ts'

const stage = analyticsForEach()

const NUMBERS = `[${Array.from({ length: 400 }, () => '0').join(',')}]`
const ENDLESS = `{"n": ${NUMBERS}.all(a, ${NUMBERS}.all(b, ${NUMBERS} == ${NUMBERS}))}`

describe('P-3, P-4, P-7: a bad envelope', () => {
  it('becomes a dead letter with its reason while good envelopes become rows', async () => {
    stage.device('device')
    stage.device('none', '')
    stage.device('wrong', '{"a": nothing}')
    stage.device('bad', ENDLESS)
    stage.device('nan', '{"a": 0.0 / 0.0}')
    const { script, writer } = scriptedWriter()
    const { log } = await stage.startAnalytics(writer)
    const good = Array.from({ length: 25 }, () => ({}))
    await stage.publish(
      ...good,
      Uint8Array.of(0xff, 0xff),
      { endDeviceId: 'none' },
      { endDeviceId: 'none' },
      { endDeviceId: 'wrong' },
      { endDeviceId: 'bad' },
      { endDeviceId: 'nan' },
      { organizationId: 'another' },
      { payload: Uint8Array.of(1, 0xc8) },
      { endDeviceId: 'dotted.id' },
      ...good,
    )
    await expect.poll(() => stage.messagesIn('dead_letters'), WAIT).toBe(9)
    await expect.poll(() => script.rows.length, WAIT).toBe(50)
    await expect.poll(() => stage.allAcknowledged('raw_envelopes', 'analytics-raw'), WAIT).toBe(true)
    const letters = await stage.deadLetters()
    expect(letters.map(({ reason }) => reason).sort()).toEqual([
      'device device belongs to organization organization, but the envelope names another; check the topic it was published on',
      expect.stringContaining('invalid id "dotted.id"'),
      'device none has no payload conversion and no profile; set one (UpdateEndDevice) and replay',
      'device none has no payload conversion and no profile; set one (UpdateEndDevice) and replay',
      expect.stringMatching(/^not a raw envelope: /),
      expect.stringContaining('payload conversion of device bad: the expression exceeded its time limit of 250 ms'),
      'payload conversion of device device: line 1, column 1: Cayenne LPP: unknown type 200 at byte 1',
      'payload conversion of device nan: a is NaN, which JSON cannot represent',
      'payload conversion of device wrong: line 1, column 7: unknown variable "nothing"; the payload is "input"',
    ])
    expect(new Set(letters.map(({ subject }) => subject))).toEqual(new Set(['dead_letters.raw_envelopes']))
    expect(log.count('the device has no payload conversion')).toBe(1)
    expect(log.count('lost an evaluation worker (time)')).toBe(2)
  })

  it('delays no other device while its evaluation is pending', async () => {
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const rig = rawRig({
      ...stage,
      evaluate: async ({ codec }) => {
        if (codec.source === 'slow') await released
        return { ok: true, data: DECODED, size: 50 }
      },
    })
    const running = rig.start()
    const names = Array.from({ length: 40 }, (_, index) => (index % 4 === 0 ? 'slow' : 'quick'))
    await stage.publish(...names.map((endDeviceId) => ({ endDeviceId })))
    await expect.poll(() => stage.messagesIn('processed_envelopes'), WAIT).toBe(30)
    const consumer = () => stage.client.manager.consumers.info('raw_envelopes', 'analytics-raw')
    await expect.poll(async () => (await consumer()).num_ack_pending, WAIT).toBe(10)
    expect(await stage.messagesIn('processed_envelopes')).toBe(30)
    const stopped = running.stop()
    release()
    await stopped
    expect(await stage.messagesIn('processed_envelopes')).toBe(40)
    expect(rig.released).toEqual(Array.from({ length: 40 }, () => 50))
    expect(await stage.allAcknowledged('raw_envelopes', 'analytics-raw')).toBe(true)
  })
})
