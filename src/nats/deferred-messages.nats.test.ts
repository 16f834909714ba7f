import { describe, expect, inject, test, vi } from 'vitest'
import { connectTo, ownStream } from '../../test/rig/adapters/nats-client.ts'
import { DURABLE, metricOf, recorder, scene } from '../../test/rig/adapters/consumer-scene.ts'
import { DEAD_LETTER_HEADERS, originOf } from './dead-letters.ts'
import { DeferredMessages } from './deferred-messages.ts'
import type { Delivery } from './delivery.ts'
import { ensureStreams } from './streams.ts'

const WAIT = { timeout: 20_000, interval: 20 }
const decoder = new TextDecoder()

/** Returns a message of the stream `raw` with this sequence. */
function message(streamSequence: number, bytes = 10, headers: Readonly<Record<string, string>> = {}): Delivery {
  return {
    subject: 'raw.x',
    body: Buffer.from(String(streamSequence).padEnd(bytes)),
    header: (name) => headers[name],
    headers: () => headers,
    streamSequence,
    attempt: 1,
    storedAtMs: 5000,
  }
}

/** Creates an empty queue. */
async function queue(limits: { readonly maxMessagesPerSubject?: number; readonly maxMessageBytes?: number } = {}) {
  const client = await connectTo(inject('nats').url)
  const definition = { ...ownStream(), ...limits, isWorkQueue: true }
  await ensureStreams(client, [definition])
  const deferred = new DeferredMessages(client, definition.name)
  const visited = async (subject: string, remove = false): Promise<number[]> => {
    const found: number[] = []
    const visit = async (delivery: Delivery): Promise<boolean> => {
      found.push(Number(decoder.decode(delivery.body)))
      return remove
    }
    await deferred.scan(`${definition.subject}.${subject}`, visit, new AbortController().signal)
    return found.toSorted((one, other) => one - other)
  }
  const add = (subject: string, ...messages: readonly Delivery[]): Promise<unknown> =>
    Promise.all(messages.map((each) => deferred.add(`${definition.subject}.${subject}`, each, 'raw')))
  return { client, deferred, add, visited, stream: definition.name, [Symbol.asyncDispose]: () => client.drain() }
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

describe('B-4: deferred messages', () => {
  test('of one subject are visited, each once, and removed if they were processed', async () => {
    await using q = await queue()
    for (const number of numbers(0, 100)) await q.add(number % 3 === 0 ? 'a' : 'b', message(number))
    const ofA = numbers(0, 100).filter((number) => number % 3 === 0)
    expect(await q.visited('c')).toEqual([])
    expect(await q.visited('a')).toEqual(ofA)
    expect(await q.visited('a', true)).toEqual(ofA)
    expect(await q.visited('a')).toEqual([])
    expect(await q.visited('b')).toHaveLength(100 - ofA.length)
    expect([await q.deferred.has(1), await q.deferred.has(2)]).toEqual([false, true])
  })

  test('keep their headers and the place of their origin, also after a replay', async () => {
    await using q = await queue()
    const replayed = {
      'Ponix-Replay-Of': 'raw:1:4000',
      [DEAD_LETTER_HEADERS.messageId]: 'first',
      'Nats-Msg-Id': 'replay',
    }
    await q.add('a', message(7, 10, { Trace: 'x', 'Nats-Msg-Id': 'own' }), message(8, 10, replayed))
    const found: unknown[] = []
    const visit = async (delivery: Delivery): Promise<boolean> => {
      const { 'Nats-Msg-Id': _id, ...headers } = delivery.headers()
      found.push({ headers, origin: originOf(delivery, q.stream) })
      return true
    }
    await q.deferred.scan(`${q.stream}.a`, visit, new AbortController().signal)
    const origin = (streamSequence: number) => ({ stream: 'raw', subject: 'raw.x', streamSequence, storedAtMs: 5000 })
    const place = (sequence: string) => ({
      [DEAD_LETTER_HEADERS.subject]: 'raw.x',
      [DEAD_LETTER_HEADERS.stream]: 'raw',
      [DEAD_LETTER_HEADERS.sequence]: sequence,
      [DEAD_LETTER_HEADERS.storedAt]: '5000',
    })
    expect(found).toEqual([
      { headers: { ...place('7'), Trace: 'x', [DEAD_LETTER_HEADERS.messageId]: 'own' }, origin: origin(7) },
      {
        headers: { ...place('8'), 'Ponix-Replay-Of': 'raw:1:4000', [DEAD_LETTER_HEADERS.messageId]: 'first' },
        origin: origin(8),
      },
    ])
  })

  test('are stored once if they are added again, and refused beyond the limits of the queue', async () => {
    await using q = await queue({ maxMessagesPerSubject: 2, maxMessageBytes: 1000 })
    await q.add('a', message(1), message(1), message(2))
    await expect(q.add('a', message(3))).rejects.toMatchObject({
      code: 'refused',
      message: `stream ${q.stream}: maximum messages per subject exceeded`,
    })
    await expect(q.add('b', message(4, 2000))).rejects.toMatchObject({ code: 'refused' })
    await q.add('b', message(5))
    expect([await q.visited('a'), await q.visited('b')]).toEqual([[1, 2], [5]])
  })
})

describe('B-4, B-15: the durable consumer of a work queue', () => {
  test('reports no unread message as dropped that was removed, and continues after it was deleted', async () => {
    await using s = await scene(inject('nats').url, { isWorkQueue: true })
    await s.publish('0', '1', '2', '3')
    await s.client.manager.streams.deleteMessage(s.stream, 2)
    const first = recorder(3)
    const consumer = s.consume(first.handle, { observeIntervalMs: 20 })
    const left = async () => (await s.client.manager.streams.info(s.stream)).state.messages
    await vi.waitFor(async () => expect(await left()).toBe(0), WAIT)
    await s.client.manager.consumers.delete(s.stream, DURABLE)
    await s.publish('4')
    await vi.waitFor(() => expect(first.seen).toEqual(['0', '2', '3', '4']), WAIT)
    await vi.waitFor(async () => expect(await left()).toBe(0), WAIT)
    await consumer.stop()
    expect(s.log.count('the stream dropped')).toBe(0)
    expect(await metricOf('ponix_nats_expired_unread_total', { stream: s.stream })).toBeUndefined()
  })
})
