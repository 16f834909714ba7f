import { describe, expect, it } from 'vitest'
import { deviceOfTopic } from './device-topic.ts'

describe('deviceOfTopic', () => {
  it('W-7 takes exactly two non-empty segments, the first the own organization', () => {
    expect(deviceOfTopic('o1/d1', 'o1')).toEqual({ ok: true, endDeviceId: 'd1' })
  })

  it.each(['o1', 'o1/', '/d1', '', '/', 'o1/d1/up', 'o1//d1'])('W-7 refuses %j', (topic) => {
    expect(deviceOfTopic(topic, 'o1')).toEqual({ ok: false, reason: expect.stringContaining('{end_device_id}') })
  })

  it('W-7 refuses the device of another organization', () => {
    expect(deviceOfTopic('o2/d1', 'o1')).toEqual({ ok: false, reason: expect.stringContaining('organization o1') })
  })
})
