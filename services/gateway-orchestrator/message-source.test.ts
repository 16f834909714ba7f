import { describe, expect, it } from 'vitest'
import { deviceOfTopic, plausible } from './message-source.ts'
import { UnknownDevices } from './unknown-devices.ts'

describe('deviceOfTopic', () => {
  it("W-7 accepts exactly two non-empty segments, of which the first is the gateway's organization", () => {
    expect(deviceOfTopic('o1/d1', 'o1')).toBe('d1')
  })

  it.each(['o1', 'o1/', '/d1', '', '/', 'o1/d1/up', 'o1//d1', 'o1/d1/', '/o1/d1', '//', '#'])(
    'W-7 rejects %j',
    (topic) => {
      expect(() => deviceOfTopic(topic, 'o1')).toThrow('{end_device_id}')
    },
  )

  it('W-7 rejects a device of another organization', () => {
    expect(() => deviceOfTopic('o2/d1', 'o1')).toThrow('organization o1')
  })
})

describe('plausible', () => {
  const HOUR = 3_600_000_000n
  const now = 1_767_323_045_000_000n

  it.each([
    [null, now],
    [now, now],
    [now - 23n * HOUR, now - 23n * HOUR],
    [now - 25n * HOUR, now],
    [0n, now],
    [now + 1n, now],
  ])('G-8 takes the time %d of a network server as %d', (time, taken) => {
    expect(plausible(time, now)).toBe(taken)
  })
})

describe('UnknownDevices', () => {
  it('G-17 admits one dead letter per device and minute', () => {
    let nowMs = 0
    const unknown = new UnknownDevices(() => nowMs)
    expect([1, 2, 3].map(() => unknown.admit('o1', 'a'))).toEqual([true, false, false])
    expect(unknown.admit('o2', 'a')).toBe(true)
    nowMs = 59_999
    expect(unknown.admit('o1', 'a')).toBe(false)
    nowMs = 60_000
    expect(unknown.admit('o1', 'a')).toBe(true)
  })

  it('B-2: remembers 10,000 devices', () => {
    const unknown = new UnknownDevices(() => 0)
    for (let number = 0; number <= 10_000; number += 1) unknown.admit('o1', String(number))
    expect(unknown.admit('o1', '1')).toBe(false)
    expect(unknown.admit('o1', '0')).toBe(true)
  })
})
