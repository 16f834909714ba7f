import { describe, expect, test } from 'vitest'
import { FlowControl, livenessOf, retryDelayMs } from './flow-control.ts'

describe('FlowControl', () => {
  test('C-8: pauses at the limit of messages and resumes at half of it', () => {
    const flow = new FlowControl({ maxMessages: 4, maxBytes: 1000 })
    expect([flow.add(1), flow.add(1), flow.add(1)]).toEqual([false, false, false])
    expect(flow.add(1)).toBe(true)
    expect(flow.paused).toBe(true)
    expect(flow.remove(1)).toBe(false)
    expect(flow.remove(1)).toBe(true)
    expect(flow.paused).toBe(false)
  })

  test('C-8: pauses at the limit of bytes, with few messages too', () => {
    const flow = new FlowControl({ maxMessages: 100, maxBytes: 1000 })
    expect(flow.add(600)).toBe(false)
    expect(flow.add(600)).toBe(true)
    expect(flow.remove(600)).toBe(false)
    expect(flow.remove(600)).toBe(true)
  })

  test('C-8: one message larger than the limit passes, alone', () => {
    const flow = new FlowControl({ maxMessages: 100, maxBytes: 1000 })
    expect(flow.add(5000)).toBe(true)
    expect(flow.remove(5000)).toBe(true)
  })

  test('asks to pause once, not for each message that was read already', () => {
    const flow = new FlowControl({ maxMessages: 1, maxBytes: 1000 })
    expect([flow.add(1), flow.add(1), flow.add(1)]).toEqual([true, false, false])
    expect([flow.messages, flow.bytes]).toEqual([3, 3])
  })
})

describe('livenessOf', () => {
  test('C-10: a silent server is asked, and given up when it does not answer', () => {
    expect(livenessOf(0, 60_000, false)).toBe('alive')
    expect(livenessOf(20_000, 60_000, false)).toBe('ask')
    expect(livenessOf(60_000, 60_000, false)).toBe('dead')
  })

  test('C-8: while reading is paused silence means nothing', () => {
    expect(livenessOf(600_000, 60_000, true)).toBe('alive')
  })
})

describe('retryDelayMs', () => {
  test('C-10: doubles from a twentieth up to the maximum', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelayMs(attempt, 10_000, () => 1))
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  test('C-10: the random part shortens it by a quarter at most', () => {
    expect(retryDelayMs(1, 10_000, () => 0)).toBe(375)
  })
})
