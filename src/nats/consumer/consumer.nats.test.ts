import { describe, expect, test } from 'vitest'
import {
  ACK,
  DURABLE,
  deadLettersOf,
  deferred,
  range,
  recorder,
  scene,
  text,
  untilSettled,
} from '../../../test/rig/adapters/consumer-scene.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { DEAD_LETTER_HEADERS } from '../dead-letters.ts'
import type { MessageResult } from '../delivery.ts'

describe('the consumer', () => {
  test('N-3 passes full batches immediately, and a partial one when the wait after its first message has expired', async () => {
    await using s = await scene()
    await s.publish(...range(0, 5))
    const record = recorder(5)
    const consumer = s.consume(record.handle, { batchSize: 3, batchWaitMs: 300 })
    const startedAt = performance.now()
    await record.all
    expect(record.batches).toEqual([
      ['0', '1', '2'],
      ['3', '4'],
    ])
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(290)
    await consumer.stop()
  })

  test('N-3 waits a quarter of the time for a batch whose first message has waited long elsewhere', async () => {
    await using s = await scene()
    const record = recorder(1)
    const consumer = s.consume(record.handle, { batchSize: 3, batchWaitMs: 2000, waitedMs: () => 60_000 })
    await s.publish('old')
    const startedAt = performance.now()
    await record.all
    const waitedMs = performance.now() - startedAt
    expect(waitedMs).toBeGreaterThanOrEqual(400)
    expect(waitedMs).toBeLessThan(2000)
    await consumer.stop()
  })

  test('N-3 handles each message by its own result: ack, retry or dead letter', async () => {
    await using s = await scene()
    await s.publish('good', 'shaky', 'bad')
    const attempts = new Map<string, number[]>()
    const handled = deferred()
    const consumer = s.consume(async (batch) => {
      for (const delivery of batch) {
        attempts.set(text(delivery), [...(attempts.get(text(delivery)) ?? []), delivery.attempt])
      }
      if (attempts.get('shaky')?.length === 3) handled.resolve()
      return batch.map((delivery): MessageResult => {
        if (text(delivery) === 'bad') return { kind: 'dead_letter', reason: 'not protobuf' }
        if (text(delivery) === 'shaky' && delivery.attempt < 3) return { kind: 'retry', reason: 'not yet' }
        return ACK
      })
    })
    await handled.promise
    await untilSettled(s)
    await consumer.stop()
    expect(Object.fromEntries(attempts)).toEqual({ good: [1], shaky: [1, 2, 3], bad: [1] })
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'bad' }])
  })

  test('N-3 retries the whole batch when the handler throws or returns too few results', async () => {
    await using s = await scene()
    await s.publish(...range(0, 4))
    let calls = 0
    const record = recorder(4)
    const consumer = s.consume(
      async (batch) => {
        calls++
        if (calls === 1) throw new Error('database away')
        if (calls === 2) return [ACK]
        return await record.handle(batch)
      },
      { batchSize: 4, batchWaitMs: 1000 },
    )
    await record.all
    await untilSettled(s)
    await consumer.stop()
    expect([...record.seen].sort()).toEqual(range(0, 4))
    expect(s.log.count('batch failed, retrying: database away')).toBe(1)
    expect(s.log.count('1 results for 4 messages')).toBe(1)
  })

  test('N-4 makes a dead letter with source and reason after maxDeliver attempts', async () => {
    await using s = await scene()
    await s.publish('hopeless')
    const attempts: number[] = []
    const consumer = s.consume(
      async (batch) => {
        attempts.push(...batch.map(({ attempt }) => attempt))
        return batch.map(() => ({ kind: 'retry', reason: 'Gerät\n"π" unknown' }))
      },
      { maxDeliver: 3, service: 'analytics' },
    )
    await s.log.line('dead letter: ')
    await untilSettled(s)
    await consumer.stop()
    expect(attempts).toEqual([1, 2, 3])
    const [letter] = await deadLettersOf(s)
    const original = await s.client.manager.streams.getMessage(s.stream, { seq: 1 })
    const headers = Object.fromEntries(
      Object.entries(DEAD_LETTER_HEADERS).map(([key, name]) => [key, letter?.header(name)]),
    )
    expect(headers).toEqual({
      subject: `${s.subject}.a`,
      stream: s.stream,
      sequence: '1',
      storedAt: String(original?.time.getTime()),
      messageId: `${s.stream}-0`,
      reason: 'Ger\\u00e4t "\\u03c0" unknown',
      attempts: '3',
      service: 'analytics',
      bodyOmitted: '',
      externalId: '',
    })
    expect(letter?.body).toBe('hopeless')
  })

  test('N-4 terminates a message only when its dead letter is stored', async () => {
    await using server = await startNats()
    await using s = await scene(server.url)
    await s.client.manager.streams.delete('dead_letters')
    await s.publish('bad')
    // A stream with overlapping subjects prevents the consumer from recreating the deleted stream `dead_letters`.
    await s.client.manager.streams.add({ name: 'overlapping', subjects: ['dead_letters.*'], max_msg_size: 1 })
    let handled = 0
    const consumer = s.consume(async (batch) => {
      handled++
      return batch.map(() => ({ kind: 'dead_letter', reason: 'no' }))
    })
    await s.log.line('cannot store the dead letter; retrying', 2)
    await s.client.manager.streams.delete('overlapping')
    await s.log.line('dead letter: ')
    await untilSettled(s)
    await consumer.stop()
    expect(handled).toBe(1)
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'bad' }])
  })

  test('N-4 processes a message without results in isolation, and makes it a dead letter at twice the attempts', async () => {
    await using s = await scene()
    const { consumers } = s.client.manager
    await consumers.add(s.stream, { durable_name: DURABLE, ack_policy: 'explicit', filter_subject: `${s.subject}.>` })
    const pulls = await s.client.jetstream.consumers.get(s.stream, DURABLE)
    /** Delivers the message several times; the last delivery is not answered. */
    const deliver = async (body: string, times: number) => {
      await s.publish(body)
      for (let attempt = 1; attempt < times; attempt++) (await pulls.next({ expires: 5000 }))?.nak()
      return await pulls.next({ expires: 5000 })
    }
    const open = [await deliver('deadly', 4), await deliver('suspect', 2)]
    for (const message of open) message?.nak()
    await s.publish('neighbour')
    const batches: string[][] = []
    const consumer = s.consume(
      async (batch) => {
        batches.push(batch.map(text))
        return batch.map(() => ACK)
      },
      { maxDeliver: 2, batchSize: 3, batchWaitMs: 1000 },
    )
    await s.log.line('dead letter: delivered 4 times and never acknowledged')
    await untilSettled(s)
    await consumer.stop()
    expect(batches).toEqual([['suspect'], ['neighbour']])
    expect((await deadLettersOf(s)).map(({ count, body }) => ({ count, body }))).toEqual([{ count: 1, body: 'deadly' }])
  })

  test('W-1 rejects a filter outside the stream and a consumer with another configuration, naming both sides', async () => {
    await using s = await scene()
    const outside = s.consume(async () => [], { filterSubject: 'processed.envelopes.>' })
    await expect(outside.ended).rejects.toThrow(
      `consumer worker filters processed.envelopes.>, but stream ${s.stream} has the subjects ${s.subject}.>`,
    )
    await s.client.manager.consumers.add(s.stream, { durable_name: DURABLE, ack_policy: 'explicit' })
    await expect(s.consume(async () => []).ended).rejects.toThrow(
      `consumer worker exists on stream ${s.stream} with filter none (expected ${s.subject}.>)`,
    )
    const nowhere = s.consume(async () => [], { stream: 'nowhere' })
    await expect(nowhere.ended).rejects.toThrow('stream nowhere does not exist')
  })
})
