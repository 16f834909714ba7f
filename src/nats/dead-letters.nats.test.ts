import { describe, expect, inject, test } from 'vitest'
import { connectTo, ownStream, probeLog } from '../../test/rig/adapters/nats-client.ts'
import type { NatsClient } from './connection.ts'
import { runConsumer } from './consumer/consumer.ts'
import {
  publishRefused,
  REPLAY_HEADERS,
  listDeadLetters,
  replayDeadLetter,
  showDeadLetter,
  type DeadLetter,
} from './dead-letters.ts'
import { createProducer } from './publisher/producer.ts'
import { ensureStreams } from './streams.ts'

const REASON = 'die Nutzlast "π\\u0041" ist\nkein Protobuf'

/** Creates a stream whose messages all become dead letters. */
async function deadLettersOf(
  client: NatsClient,
  bodies: readonly Uint8Array[],
): Promise<{ stream: string; subject: string }> {
  const definition = ownStream()
  const { name: stream } = definition
  await ensureStreams(client, [definition, { name: 'dead_letters', subjects: ['dead_letters.>'] }])
  const producer = createProducer(client)
  const subject = `${definition.subject}.Gerät-7`
  for (const [index, body] of bodies.entries()) {
    await producer.publish({ subject, body, messageId: `m${index}`, headers: { 'Ponix-Lsn': `0/${index}` } })
  }
  await makeDeadLetters(client, { stream, subject, count: bodies.length })
  return { stream, subject }
}

/** Turns the next messages into dead letters. */
async function makeDeadLetters(
  client: NatsClient,
  { stream, subject, count }: { readonly stream: string; readonly subject: string; readonly count: number },
): Promise<void> {
  const abort = new AbortController()
  let dead = 0
  await runConsumer(
    {
      client,
      service: 'analytics',
      stream,
      durable: 'reject-all',
      filterSubject: subject,
      batchSize: 10,
      batchWaitMs: 10,
      async handle(batch) {
        dead += batch.length
        if (dead === count) abort.abort()
        return batch.map(() => ({ kind: 'dead_letter', reason: REASON }))
      },
    },
    abort.signal,
  )
}

async function sequencesSince(client: NatsClient, stream: string, since: Date): Promise<number[]> {
  const sequences: number[] = []
  for await (const { sequence } of listDeadLetters(client, { stream, since })) sequences.push(sequence)
  return sequences
}

async function listed(client: NatsClient, stream: string): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of listDeadLetters(client, { stream })) letters.push(letter)
  return letters
}

describe('dead letters', () => {
  test('N-4 are listed by stream, shown completely, and replayed to their original subject', async () => {
    await using client = await connectTo(inject('nats').url)
    const { stream, subject } = await deadLettersOf(client, [Buffer.from('one'), Buffer.from('two')])
    const letters = await listed(client, stream)
    const common = {
      subject,
      stream,
      reason: 'die Nutzlast "π\\u0041" ist kein Protobuf',
      attempts: 1,
      service: 'analytics',
      bytes: 3,
    }
    expect(letters.map(({ sequence: _sequence, storedAt: _storedAt, ...rest }) => rest)).toEqual([
      { ...common, streamSequence: 1, headers: { 'Ponix-Lsn': '0/0' }, body: new Uint8Array(Buffer.from('one')) },
      { ...common, streamSequence: 2, headers: { 'Ponix-Lsn': '0/1' }, body: new Uint8Array(Buffer.from('two')) },
    ])
    const second = letters[1]?.sequence ?? 0
    const detail = await showDeadLetter(client, second)
    expect([Buffer.from(detail?.body ?? []).toString(), detail?.headers]).toEqual(['two', { 'Ponix-Lsn': '0/1' }])
    expect(await replayDeadLetter(client, second)).toEqual({ stream, sequence: 3, duplicate: false })
    const again = await client.manager.streams.getMessage(stream, { seq: 3 })
    expect([again?.string(), again?.subject, again?.header.get('Ponix-Lsn')]).toEqual(['two', subject, '0/1'])
    expect((await listed(client, stream)).map(({ streamSequence }) => streamSequence)).toEqual([1])
    expect(await replayDeadLetter(client, second)).toBeUndefined()
    expect(await showDeadLetter(client, second)).toBeUndefined()
  })

  test('N-4 a replayed message identifies the original, even after several replays', async () => {
    await using client = await connectTo(inject('nats').url)
    const { stream, subject } = await deadLettersOf(client, [Buffer.from('one')])
    const first = await client.manager.streams.getMessage(stream, { seq: 1 })
    const names = [`${stream}:1:${first?.time.getTime()}`, 'm0']
    const namesIn = async (seq: number): Promise<unknown> => {
      const message = await client.manager.streams.getMessage(stream, { seq })
      return [message?.header.get(REPLAY_HEADERS.of), message?.header.get(REPLAY_HEADERS.messageId)]
    }
    for (const replay of [2, 3]) {
      const [letter] = await listed(client, stream)
      expect(await replayDeadLetter(client, letter?.sequence ?? 0)).toMatchObject({ sequence: replay })
      expect(await namesIn(replay)).toEqual(names)
      await makeDeadLetters(client, { stream, subject, count: 1 })
    }
  })

  test('N-4 two concurrent replays of one dead letter store one message', async () => {
    await using client = await connectTo(inject('nats').url)
    await using other = await connectTo(inject('nats').url)
    const { stream } = await deadLettersOf(client, [Buffer.from('one')])
    const [letter] = await listed(client, stream)
    const both = [client, other].map((each) => replayDeadLetter(each, letter?.sequence ?? 0))
    for (const stored of await Promise.all(both)) expect(stored?.sequence ?? 2).toBe(2)
    expect((await client.manager.streams.info(stream)).state.messages).toBe(2)
    expect(await listed(client, stream)).toEqual([])
  })

  test('N-4 a listing excludes dead letters that are stored after it has started', async () => {
    await using client = await connectTo(inject('nats').url)
    const { stream, subject } = await deadLettersOf(client, [Buffer.from('one'), Buffer.from('two')])
    let seen = 0
    for await (const letter of listDeadLetters(client, { stream })) {
      seen++
      await replayDeadLetter(client, letter.sequence)
      await makeDeadLetters(client, { stream, subject, count: 1 })
    }
    expect(seen).toBe(2)
    expect(await listed(client, stream)).toHaveLength(2)
  })

  test('N-4 are listed from a given time on, including that time', async () => {
    await using client = await connectTo(inject('nats').url)
    const { stream } = await deadLettersOf(client, [Buffer.from('one'), Buffer.from('two'), Buffer.from('three')])
    const all = await listed(client, stream)
    const since = all[1]?.storedAt ?? new Date(0)
    const expected = all.filter(({ storedAt }) => storedAt >= since).map(({ sequence }) => sequence)
    expect(await sequencesSince(client, stream, since)).toEqual(expected)
    expect(await sequencesSince(client, stream, new Date((all[2]?.storedAt.getTime() ?? 0) + 1))).toEqual([])
  })

  test('N-4 a body too large for the dead letter is read from the original stream', async () => {
    const log = probeLog()
    await using client = await connectTo(inject('nats').url, log.logger)
    const limit = client.connection.info?.max_payload ?? 0
    const body = new Uint8Array(limit - 250).fill(65)
    const { stream } = await deadLettersOf(client, [body])
    const [letter] = await listed(client, stream)
    expect(letter?.bytes).toBe(body.length)
    const detail = await showDeadLetter(client, letter?.sequence ?? 0)
    expect(Buffer.compare(detail?.body ?? new Uint8Array(), body)).toBe(0)
    expect(await replayDeadLetter(client, letter?.sequence ?? 0)).toMatchObject({ stream, sequence: 2 })
  })

  test('N-4 a replay without a stream rejects, and the dead letter stays', async () => {
    await using client = await connectTo(inject('nats').url)
    await using other = await connectTo(inject('nats').url)
    const { stream } = await deadLettersOf(client, [Buffer.from('one')])
    await client.manager.streams.delete(stream)
    const [letter] = await listed(other, stream)
    await expect(replayDeadLetter(other, letter?.sequence ?? 0)).rejects.toMatchObject({ code: 'no_stream' })
    expect(await listed(other, stream)).toHaveLength(1)
  })

  test('N-4 a message rejected before it reached a stream is listed and shown, and cannot be replayed', async () => {
    await using client = await connectTo(inject('nats').url)
    const { name: stream } = ownStream()
    await ensureStreams(client, [{ name: 'dead_letters', subjects: ['dead_letters.>'] }])
    const refused = {
      service: 'gateway',
      stream,
      subject: 'a/b/c',
      body: Buffer.from('x'),
      messageId: stream,
      reason: 'no',
      cause: 'test',
    }
    await publishRefused(createProducer(client), refused, AbortSignal.timeout(5000))
    const [letter] = await listed(client, stream)
    expect(letter).toMatchObject({ subject: 'a/b/c', stream, streamSequence: 0, reason: 'no', service: 'gateway' })
    expect((await showDeadLetter(client, letter?.sequence ?? 0))?.body).toEqual(new Uint8Array([120]))
    await expect(replayDeadLetter(client, letter?.sequence ?? 0)).rejects.toThrow('rejected before it reached')
  })
})
