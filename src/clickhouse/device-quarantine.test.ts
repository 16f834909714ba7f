import { describe, expect, test } from 'vitest'
import type { ProcessedEnvelope } from '../domain/entities.ts'
import { DeviceQuarantine } from './device-quarantine.ts'

const MINUTE_MS = 60_000

function envelope(endDeviceId: string, organizationId = 'org'): ProcessedEnvelope {
  return { organizationId, endDeviceId, occurredAt: 0n, processedAt: 0n, data: {} }
}

describe('B-6: the quarantine of a device', () => {
  test('ends ten minutes after its last refused row', () => {
    let now = 0
    const quarantine = new DeviceQuarantine(() => now)
    quarantine.add(envelope('a'))
    now = 5 * MINUTE_MS
    quarantine.add(envelope('a'))
    now = 15 * MINUTE_MS - 1
    expect(quarantine.has(envelope('a'))).toBe(true)
    now += 1
    expect(quarantine.has(envelope('a'))).toBe(false)
  })

  test('does not include another device or the device of another organization', () => {
    const quarantine = new DeviceQuarantine()
    quarantine.add(envelope('a'))
    expect(quarantine.has(envelope('b'))).toBe(false)
    expect(quarantine.has(envelope('a', 'other'))).toBe(false)
  })

  test('is bounded: the oldest of more than 10,000 devices is released', () => {
    const quarantine = new DeviceQuarantine()
    for (let n = 0; n <= 10_000; n += 1) quarantine.add(envelope(String(n)))
    expect(quarantine.has(envelope('0'))).toBe(false)
    expect(quarantine.has(envelope('1'))).toBe(true)
  })
})
