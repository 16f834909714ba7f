import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { AckQueue } from './ack-queue.ts'
import { InFlightBudget } from './in-flight-budget.ts'
import { MessageRouter } from './message-router.ts'
import { Topics } from './topics.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const HOLD_MS = 120_000

/** A router without subscribers, and the packet ids that it has acknowledged. */
function scene() {
  const acknowledged: number[] = []
  const ignore = (): void => undefined
  const connection = { acknowledge: (id: number) => void acknowledged.push(id), pause: ignore, resume: ignore }
  const acks = new AckQueue({ connection, budget: new InFlightBudget(), owner: 'o1' })
  const hold = { untilMs: performance.now() + HOLD_MS }
  const router = new MessageRouter({ topics: new Topics(), acks, holdUntilMs: () => hold.untilMs })
  const common = { origin: { clientId: 'c' }, topic: 'o1/d', payload: Buffer.alloc(1), omittedBytes: 0, dup: false }
  const route = (packetId: number): void => router.route({ ...common, packetId, retain: false, identifiers: [] })
  return { acknowledged, hold, route }
}

it('G-8: a message without a gateway is acknowledged at its time, although others then wait longer', () => {
  const { acknowledged, hold, route } = scene()
  route(1)
  vi.advanceTimersByTime(60_000)
  // A gateway of the session fails, and may subscribe again.
  hold.untilMs = performance.now() + HOLD_MS
  route(2)
  vi.advanceTimersByTime(59_999)
  expect(acknowledged).toEqual([])
  vi.advanceTimersByTime(1)
  expect(acknowledged).toEqual([1])
  vi.advanceTimersByTime(60_000)
  expect(acknowledged).toEqual([1, 2])
})

it('G-8: a message that comes later without a gateway waits no longer than the first ones', () => {
  const { acknowledged, hold, route } = scene()
  vi.advanceTimersByTime(HOLD_MS)
  route(1)
  expect(acknowledged).toEqual([1])
  hold.untilMs = performance.now() + HOLD_MS
  route(2)
  vi.advanceTimersByTime(HOLD_MS)
  expect(acknowledged).toEqual([1, 2])
})
