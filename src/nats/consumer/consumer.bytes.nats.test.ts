import { describe, expect, test, vi } from 'vitest'
import {
  ACK,
  DURABLE,
  deferred,
  range,
  recorder,
  scene,
  untilSettled,
} from '../../../test/rig/adapters/consumer-scene.ts'
import type { Delivery, MessageResult } from '../delivery.ts'

const WAIT = { timeout: 10_000, interval: 20 }
/** Space for the subject, the headers and the reply subject of a message, which JetStream counts. */
const OVERHEAD = 500

/** Returns a body of this size that begins with its number. */
function body(number: number, bytes: number): string {
  return String(number).padEnd(bytes, ' ').slice(0, bytes)
}

describe('B-2: the bytes of a consumer', () => {
  test('are bounded in every batch; a larger message is a batch of its own', async () => {
    await using s = await scene()
    const sizes = range(0, 60).map((text) => [0, 1000, 90_000, 250_000, 1_000_000][Number(text) % 5] ?? 0)
    await s.publish(...sizes.map((bytes, number) => body(number, bytes)))
    const batches: number[][] = []
    const consumer = s.consume(
      async (batch) => {
        batches.push(batch.map(({ body: { length } }) => length))
        return batch.map(() => ACK)
      },
      { batchSize: 1000, batchBytes: 400_000, batchWaitMs: 100 },
    )
    await vi.waitFor(() => expect(batches.flat()).toHaveLength(60), WAIT)
    await untilSettled(s)
    await consumer.stop()
    expect(batches.flat()).toEqual(sizes)
    const tooLarge = batches.filter((batch) => batch.length > 1 && sum(batch) > 400_000)
    expect(tooLarge).toEqual([])
    expect(batches.some((batch) => batch.length > 2)).toBe(true)
  })

  test('are bounded in the batch that is prefetched while one is handled', async () => {
    await using s = await scene()
    await s.publish(...range(0, 40).map((number) => body(Number(number), 100_000)))
    const release = deferred()
    const record = recorder(40)
    const consumer = s.consume(
      async (batch) => {
        await release.promise
        return await record.handle(batch)
      },
      { batchSize: 1000, batchBytes: 3 * (100_000 + OVERHEAD) },
    )
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(6), WAIT)
    await s.client.connection.flush()
    expect((await info()).num_ack_pending).toBe(6)
    release.resolve()
    await record.all
    await consumer.stop()
    expect(Math.max(...record.batches.map(({ length }) => length))).toBe(3)
  })

  test('are limited in each pull, and the status that reports its completion does not pause the consumer', async () => {
    await using s = await scene()
    await s.publish(...range(0, 100))
    let requests = 0
    s.client.connection.subscribe(`$JS.API.STREAM.INFO.${s.stream}`, {
      callback: () => {
        requests += 1
      },
    })
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    const record = recorder(100)
    const consumer = s.consume(async (batch) => {
      const handled = record.seen.length
      // The next batch is prefetched, and the status after it has arrived.
      await vi.waitFor(async () => expect((await info()).delivered.stream_seq).toBe(Math.min(handled + 20, 100)), WAIT)
      return await record.handle(batch)
    })
    await record.all
    await untilSettled(s)
    const before = requests
    await consumer.stop()
    // The consumer is ensured and observed at its start.
    expect(before).toBe(2)
  })

  test('are pulled further when a batch has exactly the bytes of its limit', async () => {
    await using s = await scene()
    await s.publish(body(0, 1000), body(1, 1000))
    const reply = `$JS.ACK.${s.stream}.${DURABLE}.1.1.1.${String(Date.now())}000000.1`
    const message = await s.client.manager.streams.getMessage(s.stream, { seq: 1 })
    const headers = `NATS/1.0\r\nNats-Msg-Id: ${message?.header.get('Nats-Msg-Id')}\r\n\r\n`
    const record = recorder(2)
    const consumer = s.consume(record.handle, {
      batchBytes: `${s.subject}.a`.length + reply.length + headers.length + 1000,
      batchWaitMs: 60_000,
    })
    await vi.waitFor(() => expect(record.batches.map(({ length }) => length)).toEqual([1, 1]), WAIT)
    await consumer.stop()
  })

  test('are bounded while results are pending', async () => {
    await using s = await scene()
    await s.publish(...range(0, 40).map((number) => body(Number(number), 100_000)))
    const release = deferred()
    const handed: Delivery[] = []
    const result = async (): Promise<MessageResult> => {
      await release.promise
      return ACK
    }
    const consumer = s.consume(
      async (batch) => {
        handed.push(...batch)
        return batch.map(result)
      },
      { batchSize: 2, maxAckPending: 100, maxOpenBytes: 1_000_000 },
    )
    const info = () => s.client.manager.consumers.info(s.stream, DURABLE)
    await vi.waitFor(async () => expect((await info()).num_ack_pending).toBe(12), WAIT)
    await s.client.connection.flush()
    expect(handed).toHaveLength(10)
    release.resolve()
    await vi.waitFor(() => expect(handed).toHaveLength(40), WAIT)
    await consumer.stop()
  })
})

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
