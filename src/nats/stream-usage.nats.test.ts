import { describe, expect, test } from 'vitest'
import { metricOf, range, scene } from '../../test/rig/adapters/consumer-scene.ts'
import { createProducer } from './publisher/producer.ts'
import { observeStreams } from './stream-usage.ts'

describe('the use of streams', () => {
  test('B-18 exports messages, bytes and age of a stream and their limits, and no series for a limit that is not set', async () => {
    await using limited = await scene(undefined, { maxAgeMs: 3_600_000, maxBytes: 100_000 })
    await using unlimited = await scene()
    const abort = new AbortController()
    const observing = [limited, unlimited].map(({ client }) => observeStreams(client, abort.signal, 20))
    await limited.publish(...range(0, 10))
    const of = ({ stream }: { readonly stream: string }, name: string) =>
      metricOf(`ponix_nats_stream_${name}`, { stream })
    await expect.poll(() => of(limited, 'messages')).toBe(10)
    const { bytes } = (await limited.client.manager.streams.info(limited.stream)).state
    expect(await of(limited, 'bytes')).toBe(bytes)
    expect(await of(limited, 'bytes_limit')).toBe(100_000)
    expect(await metricOf('ponix_nats_stream_info', { stream: limited.stream, subjects: `${limited.subject}.>` })).toBe(
      1,
    )
    expect(await of(limited, 'age_limit_seconds')).toBe(3600)
    const age = await of(limited, 'age_seconds')
    await expect.poll(() => of(limited, 'age_seconds')).toBeGreaterThan(age ?? Infinity)
    await expect.poll(() => of(unlimited, 'bytes')).toBe(0)
    expect(await of(unlimited, 'age_seconds')).toBe(0)
    expect(await of(unlimited, 'bytes_limit')).toBeUndefined()
    expect(await of(unlimited, 'age_limit_seconds')).toBeUndefined()
    abort.abort()
    await Promise.all(observing)
  })

  test('B-15 warns once at 80 % of the bytes; a full stream then rejects new messages and drops no unread one', async () => {
    await using s = await scene(undefined, { maxBytes: 10_000 })
    const abort = new AbortController()
    const observing = observeStreams(s.client, abort.signal, 20)
    const producer = createProducer(s.client)
    const body = Buffer.alloc(900)
    const stored: number[] = []
    const publish = async (index: number) => {
      await producer.publish({ subject: `${s.subject}.a`, body, messageId: String(index) }, abort.signal)
      stored.push(index)
    }
    const published = range(0, 20).map((index) => publish(Number(index)).catch(() => {}))
    expect(await s.log.line('of its bytes')).toMatchObject({ level: 'warn', stream: s.stream, max_bytes: 10_000 })
    await s.log.line('JetStream does not store: maximum bytes exceeded')
    const { messages, first_seq } = (await s.client.manager.streams.info(s.stream)).state
    expect({ messages, first_seq }).toEqual({ messages: stored.length, first_seq: 1 })
    expect(stored.length).toBeLessThan(20)
    expect(s.log.count('of its bytes')).toBe(1)
    abort.abort()
    producer.close()
    await Promise.all([...published, observing])
  })
})
