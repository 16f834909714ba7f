import { describe, expect, test } from 'vitest'
import {
  ACK,
  deadLettersOf,
  DURABLE,
  range,
  scene,
  text,
  untilSettled,
  type Scene,
} from '../../../test/rig/adapters/consumer-scene.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { DeadLetterQuota } from '../dead-letter-quota.ts'
import { listDeadLetters, replayDeadLetter } from '../dead-letters.ts'
import type { Delivery, MessageResult } from '../delivery.ts'

/** Limits the stream of dead letters to this many bytes; -1 is no limit. */
async function limitDeadLetters({ client }: Scene, bytes: number): Promise<void> {
  const { config } = await client.manager.streams.info('dead_letters')
  await client.manager.streams.update('dead_letters', { ...config, max_bytes: bytes })
}

/** Returns a handler that makes each message `bad …` a dead letter, and the messages that it received. */
function sorter() {
  const good: string[] = []
  const bad: string[] = []
  const resultOf = (message: Delivery): MessageResult => {
    const isBad = text(message).startsWith('bad')
    const seen = isBad ? bad : good
    seen.push(text(message))
    return isBad ? { kind: 'dead_letter', reason: 'bad' } : ACK
  }
  return { good, bad, resultOf }
}

const BAD = range(0, 30).map((number) => `bad ${number}`)
const GOOD = range(0, 30)

describe('B-5: a full stream of dead letters', () => {
  test.each(['immediate', 'pending'] as const)('does not delay other messages whose results are %s', async (kind) => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const { good, bad, resultOf } = sorter()
    const consumer = s.consume(
      async (batch) => batch.map((each) => (kind === 'pending' ? Promise.resolve(resultOf(each)) : resultOf(each))),
      { maxOpen: 5, maxAckPending: 100, stopTimeoutMs: 100 },
    )
    await s.publish(...BAD, ...GOOD)
    await expect.poll(() => good.length).toBe(30)
    const unanswered = async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_ack_pending
    await expect.poll(unanswered).toBe(30)
    await limitDeadLetters(s, -1)
    await untilSettled(s)
    expect(await deadLettersOf(s)).toMatchObject([{ count: 30 }])
    expect([good.length, bad.length]).toEqual([30, 30])
    await consumer.stop()
  })

  test('makes half of maxAckPending wait; further failed messages are redelivered, and not processed again', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const { good, bad, resultOf } = sorter()
    const consumer = s.consume(async (batch) => batch.map(resultOf), { maxAckPending: 40, stopTimeoutMs: 100 })
    await s.publish(...BAD, ...GOOD)
    await s.log.line('20 messages or 33554432 bytes wait for their dead letters')
    const redelivered = async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_redelivered
    await expect.poll(() => good.length).toBe(30)
    await expect.poll(redelivered).toBe(10)
    await limitDeadLetters(s, -1)
    await untilSettled(s)
    expect(await deadLettersOf(s)).toMatchObject([{ count: 30 }])
    expect(bad.toSorted()).toEqual(BAD.toSorted())
    expect(s.log.count('wait for their dead letters')).toBe(1)
    await consumer.stop()
  })

  test('loses no message of a consumer that is stopped and started again', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const first = sorter()
    const handle = async (batch: readonly Delivery[]) => batch.map(first.resultOf)
    const stopped = s.consume(handle, { maxAckPending: 100, stopTimeoutMs: 100 })
    await s.publish(...BAD)
    await expect.poll(() => first.bad.length).toBe(30)
    await stopped.stop()
    await limitDeadLetters(s, -1)
    const consumer = s.consume(handle, { maxAckPending: 100 })
    await untilSettled(s)
    await consumer.stop()
    expect(await deadLettersOf(s)).toMatchObject([{ count: 30 }])
  })
})

test('B-5 a replayed message that fails again is stored even beyond the quota', async () => {
  await using s = await scene()
  const { resultOf } = sorter()
  const deadLetterQuota = new DeadLetterQuota(1, s.log.logger)
  const consumer = s.consume(async (batch) => batch.map(resultOf), { deadLetterQuota })
  await s.publish('bad 0', 'bad 1')
  await untilSettled(s)
  const sequences = async (): Promise<number[]> => {
    const found: number[] = []
    for await (const { sequence } of listDeadLetters(s.client, { stream: s.stream })) found.push(sequence)
    return found
  }
  const first = await sequences()
  expect(first).toHaveLength(1)
  await replayDeadLetter(s.client, first[0] ?? 0)
  await untilSettled(s)
  await consumer.stop()
  const second = await sequences()
  expect(second).toHaveLength(1)
  expect(second).not.toEqual(first)
})
