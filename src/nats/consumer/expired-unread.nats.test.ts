import { describe, expect, test } from 'vitest'
import {
  ACK,
  DURABLE,
  deferred,
  metricOf,
  range,
  recorder,
  scene,
  untilSettled,
  type Scene,
} from '../../../test/rig/adapters/consumer-scene.ts'

const MAX_AGE_MS = 1500
const OBSERVE = { observeIntervalMs: 50 }

describe('a consumer whose stream drops messages by age', () => {
  test('B-15 counts and logs the messages that it had not received, so that each message is handled or counted', async () => {
    await using s = await scene(undefined, { maxAgeMs: MAX_AGE_MS })
    await s.publish(...range(0, 100))
    const release = deferred()
    const record = recorder(Infinity)
    const consumer = s.consume(
      async (batch) => {
        await release.promise
        return await record.handle(batch)
      },
      { ...OBSERVE, maxAckPending: 30 },
    )
    await untilExpired(s)
    await expect.poll(() => s.log.count('not received')).toBeGreaterThan(0)
    release.resolve()
    await s.publish('last')
    await expect.poll(() => record.seen).toContain('last')
    await consumer.stop()
    const handled = new Set(record.seen).size
    expect(handled).toBeLessThanOrEqual(31)
    expect(handled + (await expiredUnread(s))).toBe(101)
    const logged = s.log.lines.filter(({ msg }) => msg.includes('not received'))
    expect(logged.reduce((sum, { messages }) => sum + Number(messages), 0)).toBe(101 - handled)
    expect(logged.at(-1)).toMatchObject({ level: 'error', stream: s.stream, durable: DURABLE, last_sequence: 100 })
  })

  test('B-15 counts messages that expired while no consumer was running', async () => {
    await using s = await scene(undefined, { maxAgeMs: MAX_AGE_MS })
    await s.publish(...range(0, 10))
    const first = recorder(10)
    const before = s.consume(first.handle)
    await first.all
    await untilSettled(s)
    await before.stop()
    await s.publish(...range(10, 60))
    await untilExpired(s)
    await s.publish('last')
    const second = recorder(1)
    const after = s.consume(second.handle, OBSERVE)
    await second.all
    await expect.poll(() => expiredUnread(s)).toBe(50)
    await after.stop()
    expect(second.seen).toEqual(['last'])
    expect(s.log.lines.filter(({ msg }) => msg.includes('not received'))).toEqual([
      expect.objectContaining({ messages: 50, first_sequence: 11, last_sequence: 60 }),
    ])
  })

  test('B-15 counts messages that a consumer had received but not acknowledged when it ended', async () => {
    await using s = await scene(undefined, { maxAgeMs: MAX_AGE_MS })
    await s.publish(...range(0, 30))
    const received = deferred()
    const never = s.consume(
      async (batch) => {
        if (batch[0]?.streamSequence !== 1) received.resolve()
        // Only the first batch is answered.
        const answered = batch[0]?.streamSequence === 1
        return batch.map(() => (answered ? ACK : new Promise<never>(() => {})))
      },
      { ...OBSERVE, stopTimeoutMs: 10 },
    )
    await received.promise
    await untilExpired(s)
    await never.stop()
    await s.publish('last')
    const record = recorder(1)
    const after = s.consume(record.handle, OBSERVE)
    await record.all
    await expect.poll(() => expiredUnread(s)).toBe(20)
    await after.stop()
  })

  test('B-15 warns once before unread messages expire, and again in the next episode', async () => {
    await using s = await scene(undefined, { maxAgeMs: MAX_AGE_MS })
    const unreadAge = () => metricOf('ponix_nats_oldest_unread_seconds', { stream: s.stream, durable: DURABLE })
    const gates = [deferred(), deferred()]
    let episode = 0
    const consumer = s.consume(async (batch) => {
      await gates[episode]?.promise
      return batch.map(() => ACK)
    }, OBSERVE)
    for (const [index, gate] of gates.entries()) {
      episode = index
      await s.publish(String(index))
      await s.log.line('of the age limit', index + 1)
      expect(await unreadAge()).toBeGreaterThanOrEqual((0.8 * MAX_AGE_MS) / 1000)
      gate.resolve()
      await expect.poll(unreadAge).toBe(0)
    }
    await consumer.stop()
    expect(s.log.count('of the age limit')).toBe(2)
  })
})

async function untilExpired({ client, stream }: Scene): Promise<void> {
  await expect.poll(async () => (await client.manager.streams.info(stream)).state.messages).toBe(0)
}

async function expiredUnread({ stream }: Scene): Promise<number> {
  return (await metricOf('ponix_nats_expired_unread_total', { stream, durable: DURABLE })) ?? 0
}
