import { describe, expect, inject, test, vi } from 'vitest'
import {
  ACK,
  DURABLE,
  deferred,
  range,
  recorder,
  scene,
  text,
  untilSettled,
} from '../../../test/rig/adapters/consumer-scene.ts'
import { connectTo } from '../../../test/rig/adapters/nats-client.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import type { Delivery, MessageResult } from '../delivery.ts'

describe('the consumer', () => {
  test('N-5 extends the ack deadline of the current and the buffered batch while the handler works', async () => {
    await using s = await scene()
    const extensions: string[] = []
    const extended = deferred()
    const watch = s.client.connection.subscribe(`$JS.ACK.${s.stream}.>`, {
      callback: (_error, message) => {
        if (message.string() !== '+WPI') return
        extensions.push(message.subject)
        // After twelve extensions at a third of the deadline, four deadlines have passed for both messages.
        if (extensions.length === 24) extended.resolve()
      },
    })
    await s.publish('in hand', 'behind')
    const attempts: number[] = []
    const record = recorder(2)
    const consumer = s.consume(
      async (batch) => {
        attempts.push(...batch.map(({ attempt }) => attempt))
        await extended.promise
        return await record.handle(batch)
      },
      { batchSize: 1, ackWaitMs: 1500 },
    )
    await record.all
    await untilSettled(s)
    await consumer.stop()
    watch.unsubscribe()
    expect(attempts).toEqual([1, 1])
  })

  test('N-5 starts further batches despite pending results until maxOpen is reached', async () => {
    await using s = await scene()
    await s.publish(...range(0, 40))
    const handed: string[] = []
    const gates = Array.from({ length: 40 }, deferred)
    const open = async (index: number): Promise<MessageResult> => {
      await gates[index]?.promise
      return ACK
    }
    const handle: ConsumerOptions['handle'] = async (batch) => {
      handed.push(...batch.map(text))
      return batch.map((delivery) => (text(delivery) === '3' ? ACK : open(Number(text(delivery)))))
    }
    const consumer = s.consume(handle, { maxOpen: 25 })
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    const wait = { timeout: 10_000, interval: 20 }
    // The limit is reached by three batches of ten, without the message that is acknowledged immediately.
    await vi.waitFor(() => expect(handed).toEqual(range(0, 30)), wait)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(39), wait)
    for (const index of [29, 11, 12, 13, 14]) gates[index]?.resolve()
    await vi.waitFor(() => expect(handed).toEqual(range(0, 40)), wait)
    const stopped = consumer.stop()
    for (const gate of gates) gate.resolve()
    await stopped
    expect(await info()).toMatchObject({ num_pending: 0, num_ack_pending: 0 })
  })

  test.each([
    { what: 'exactly one batch', prefetch: {}, delivered: 20 },
    { what: 'several batches', prefetch: { prefetch: 30 }, delivered: 40 },
  ])('N-5 prefetches $what while one is handled', async ({ prefetch, delivered }) => {
    await using s = await scene()
    await s.publish(...range(0, 100))
    const release = deferred()
    const record = recorder(100)
    const handle: ConsumerOptions['handle'] = async (batch) => {
      await release.promise
      return await record.handle(batch)
    }
    const consumer = s.consume(handle, { ...prefetch, maxAckPending: 100 })
    const ackPending = async () => (await s.client.manager.consumers.info(s.stream, DURABLE)).num_ack_pending
    await expect.poll(ackPending, { timeout: 10_000, interval: 20 }).toBe(delivered)
    await s.client.connection.flush()
    expect(await ackPending()).toBe(delivered)
    release.resolve()
    await record.all
    await consumer.stop()
    expect(record.batches.map((batch) => batch.length)).toEqual(Array.from({ length: 10 }, () => 10))
  })

  test('N-7 finishes the current batch on stop and immediately returns the buffered one', async () => {
    await using s = await scene()
    await s.publish(...range(0, 20))
    const started = deferred()
    const release = deferred()
    const first = recorder(10)
    const consumer = s.consume(async (batch) => {
      started.resolve()
      await release.promise
      return await first.handle(batch)
    })
    await started.promise
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(20), { timeout: 10_000, interval: 20 })
    const stopped = consumer.stop()
    release.resolve()
    await stopped
    expect(first.seen).toEqual(range(0, 10))
    expect((await info()).ack_floor.stream_seq).toBe(10)
    const second = recorder(10)
    const next = s.consume(second.handle)
    await second.all
    await next.stop()
    expect(second.seen.sort()).toEqual(range(10, 20))
  })

  test('N-7 aborts a handler that exceeds the stop timeout and does not acknowledge its messages', async () => {
    await using s = await scene()
    await s.publish('slow')
    const started = deferred()
    const consumer = s.consume(
      async (_batch, signal) => {
        started.resolve()
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('out of time')), { once: true })
        })
        return [ACK]
      },
      { stopTimeoutMs: 50 },
    )
    await started.promise
    await consumer.stop()
    expect((await s.client.manager.consumers.info(s.stream, DURABLE)).num_ack_pending).toBe(1)
  })

  test('N-8 shares its durable consumer with another instance; every message is handled once', async () => {
    await using s = await scene()
    await using other = await connectTo(inject('nats').url)
    const both = recorder(400)
    const byFirst: string[] = []
    const bySecond: string[] = []
    const into = (mine: string[]) => async (batch: readonly Delivery[]) => {
      mine.push(...batch.map(text))
      return await both.handle(batch)
    }
    const first = s.consume(into(byFirst))
    const second = s.consume(into(bySecond), { client: other })
    await s.publish(...range(0, 400))
    await both.all
    await untilSettled(s)
    await Promise.all([first.stop(), second.stop()])
    expect(both.seen.toSorted((a, b) => Number(a) - Number(b))).toEqual(range(0, 400))
    expect(byFirst.length).toBeGreaterThan(0)
    expect(bySecond.length).toBeGreaterThan(0)
  })
})
