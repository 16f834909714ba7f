import { register } from 'prom-client'
import { describe, expect, test } from 'vitest'
import {
  ACK,
  deadLettersOf,
  DURABLE,
  metricOf,
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
import { createProducer } from '../publisher/producer.ts'
import { NANOS_PER_MS } from '../streams.ts'

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

const WAIT = { timeout: 20_000, interval: 20 }
/** A time limit that no test reaches: what cannot wait is redelivered, not dropped. */
const PATIENT = { ackWaitMs: 60_000, stopTimeoutMs: 100 }
const BAD = range(0, 30).map((number) => `bad ${number}`)
const GOOD = range(0, 30)

/** Makes the message id `a` have two messages in the scene's stream, as after the duplicate window. */
async function storeTwice({ client, stream, subject }: Scene): Promise<void> {
  const { config } = await client.manager.streams.info(stream)
  await client.manager.streams.update(stream, { ...config, duplicate_window: 100 * NANOS_PER_MS })
  const producer = createProducer(client)
  const publish = async () =>
    await producer.publish({ subject: `${subject}.a`, body: Buffer.from('bad'), messageId: 'a' })
  await publish()
  await expect.poll(async () => (await publish()).duplicate, WAIT).toBe(false)
  producer.close()
}

test.each([
  { hasUniqueIds: true, count: 1 },
  { hasUniqueIds: false, count: 2 },
])(
  'B-3: two messages with one id have $count dead letters if hasUniqueIds is $hasUniqueIds',
  async ({ hasUniqueIds, count }) => {
    await using s = await scene()
    await storeTwice(s)
    const { bad, resultOf } = sorter()
    const consumer = s.consume(async (batch) => batch.map(resultOf), { hasUniqueIds })
    await untilSettled(s)
    expect(bad).toHaveLength(2)
    expect(await deadLettersOf(s)).toMatchObject([{ count }])
    await consumer.stop()
  },
)

describe('B-5: a full stream of dead letters', () => {
  test.each(['immediate', 'pending'] as const)('does not delay other messages whose results are %s', async (kind) => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const { good, bad, resultOf } = sorter()
    const consumer = s.consume(
      async (batch) => batch.map((each) => (kind === 'pending' ? Promise.resolve(resultOf(each)) : resultOf(each))),
      { ...PATIENT, maxOpen: 5, maxAckPending: 100 },
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

  test('makes messages wait within the share of their organization; further failed messages are redelivered, and not processed again', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const { good, bad, resultOf } = sorter()
    const consumer = s.consume(async (batch) => batch.map(resultOf), { ...PATIENT, maxAckPending: 40 })
    await s.publish(...BAD, ...GOOD)
    await s.log.line('too many messages wait for their dead letters')
    const redelivered = async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_redelivered
    await expect.poll(() => good.length, WAIT).toBe(30)
    await expect.poll(redelivered).toBe(20)
    await limitDeadLetters(s, -1)
    await untilSettled(s)
    expect(await deadLettersOf(s)).toMatchObject([{ count: 30 }])
    expect(bad.toSorted()).toEqual(BAD.toSorted())
    expect(s.log.count('wait for their dead letters')).toBe(1)
    await consumer.stop()
  })

  test('stops no consumer however many messages fail; what cannot wait is dropped and counted, within a share of each organization', async () => {
    register.resetMetrics()
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const { good, resultOf } = sorter()
    const consumer = s.consume(
      async (batch) => batch.map((each) => ({ ...resultOf(each), organizationId: text(each).split(' ').at(-1) })),
      { maxAckPending: 40, stopTimeoutMs: 100, ackWaitMs: 500 },
    )
    const loud = range(0, 100).map((number) => `bad ${number} loud`)
    const quiet = range(0, 5).map((number) => `bad ${number} quiet`)
    await s.publish(...loud, ...quiet, ...GOOD)
    await expect.poll(() => good.length, WAIT).toBe(30)
    const dropped = () => metricOf('ponix_nats_dead_letters_total', { outcome: 'dropped' })
    await expect.poll(dropped, WAIT).toBe(90)
    await limitDeadLetters(s, -1)
    await untilSettled(s)
    await consumer.stop()
    const stored: Record<string, number> = {}
    for await (const { body } of listDeadLetters(s.client, { stream: s.stream })) {
      const organization = String(
        Buffer.from(body ?? [])
          .toString()
          .split(' ')
          .at(-1),
      )
      stored[organization] = (stored[organization] ?? 0) + 1
    }
    expect(stored).toEqual({ loud: 10, quiet: 5 })
    expect(s.log.lines.find(({ msg }) => msg === 'dead letters are stored again')).toMatchObject({ dropped: 90 })
  })

  test('shares the bytes of waiting messages among organizations too', async () => {
    register.resetMetrics()
    await using server = await startNats()
    await using s = await scene(server.url)
    await limitDeadLetters(s, 1)
    const organizationOf = (body: Uint8Array): string => Buffer.from(body).toString('utf8', 0, 5)
    const consumer = s.consume(
      async (batch) =>
        batch.map(({ body }) => ({ kind: 'dead_letter', reason: 'bad', organizationId: organizationOf(body) })),
      { maxAckPending: 400, maxOpenBytes: 40_000, stopTimeoutMs: 100, ackWaitMs: 500 },
    )
    const sent = [...Array.from({ length: 100 }, () => 'loud '), ...Array.from({ length: 3 }, () => 'quiet')]
    await s.publish(...sent.map((organization) => organization.padEnd(1000, '.')))
    const dropped = async () => (await metricOf('ponix_nats_dead_letters_total', { outcome: 'dropped' })) ?? 0
    const unanswered = async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_ack_pending
    await expect.poll(async () => (await dropped()) + (await unanswered()), WAIT).toBe(103)
    await expect
      .poll(async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_redelivered, WAIT)
      .toBe(0)
    await limitDeadLetters(s, -1)
    await untilSettled(s)
    await consumer.stop()
    const stored: string[] = []
    for await (const { body } of listDeadLetters(s.client, { stream: s.stream }))
      stored.push(organizationOf(body ?? new Uint8Array()))
    expect(stored.filter((organization) => organization === 'quiet')).toHaveLength(3)
    expect(stored.length + (await dropped())).toBe(103)
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
