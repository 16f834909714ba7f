import { getEventListeners } from 'node:events'
import { describe, expect, inject, test } from 'vitest'
import { connectTo, ownStream, probeLog, scriptedStream } from '../../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { createProducer } from './producer.ts'
import { ensureStreams } from '../streams.ts'

const body = new Uint8Array([1, 2, 3])

describe('the producer', () => {
  test('N-2 stores a message once if it retries with the same message id', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const producer = createProducer(client)
    const publication = { subject: `${stream.subject}.device`, body, messageId: 'one' }
    expect(await producer.publish(publication)).toEqual({ stream: stream.name, sequence: 1, duplicate: false })
    expect(await producer.publish(publication)).toEqual({ stream: stream.name, sequence: 1, duplicate: true })
    const { state } = await client.manager.streams.info(stream.name)
    expect(state.messages).toBe(1)
    const message = await client.manager.streams.getMessage(stream.name, { seq: 1 })
    expect(message?.data).toEqual(body)
  })

  test('N-2 stores the other messages when some cannot be stored', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const producer = createProducer(client, { maxInFlight: 2 })
    const subjects = [
      `${stream.subject}.a`,
      'unknown.subject',
      `${stream.subject}.b`,
      'not a subject',
      // nats-server would close the connection.
      `${stream.subject}.${'x'.repeat(5000)}`,
      `${stream.subject}.c`,
    ]
    const results = await Promise.allSettled(
      subjects.map((subject, index) => producer.publish({ subject, body, messageId: `m${index}` })),
    )
    expect(
      results.map((result) => (result.status === 'fulfilled' ? result.value.sequence : result.reason.code)),
    ).toEqual([1, 'no_stream', 2, 'invalid', 'invalid', 3])
  })

  test('G-13: a message that waits is rejected instead of sent if it may not be sent any more', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const producer = createProducer(client, { maxInFlight: 1 })
    let isOwned = true
    const assertSendable = (): void => {
      if (!isOwned) throw new Error('another instance may run the gateway')
    }
    const publish = (messageId: string, more = {}) =>
      producer.publish({ subject: `${stream.subject}.a`, body, messageId, ...more })
    const results = Promise.allSettled([
      publish('sent', { assertSendable }),
      publish('waiting', { assertSendable }),
      publish('of another'),
    ])
    isOwned = false
    expect(await results).toEqual([
      { status: 'fulfilled', value: { stream: stream.name, sequence: 1, duplicate: false } },
      { status: 'rejected', reason: new Error('another instance may run the gateway') },
      { status: 'fulfilled', value: { stream: stream.name, sequence: 2, duplicate: false } },
    ])
  })

  test('G-13: a message that was not stored is not sent again if it may not be sent any more', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    let sent = 0
    scriptedStream(client, `${stream.subject}.a`, () => JSON.stringify({ error: { code: 503, description: 'full' } }))
    await ensureStreams(client, [{ ...stream, subjects: [`${stream.subject}.b`] }])
    const producer = createProducer(client)
    const assertSendable = (): void => {
      if (sent++ > 0) throw new Error('another instance may run the gateway')
    }
    const publish = (token: string, more = {}) =>
      producer.publish({ subject: `${stream.subject}.${token}`, body, messageId: token, ...more })
    await expect(publish('a', { assertSendable })).rejects.toThrow('another instance may run the gateway')
    expect(await publish('b')).toMatchObject({ sequence: 1 })
  })

  test('B-5 a full stream delays only the messages of that stream', async () => {
    await using client = await connectTo(inject('nats').url)
    const [full, other] = [ownStream(), ownStream()]
    await ensureStreams(client, [{ ...full, maxBytes: 1 }, other])
    const producer = createProducer(client, { maxInFlight: 2 })
    const refused = Promise.allSettled(
      [1, 2, 3].map((number) =>
        producer.publish({ subject: `${full.subject}.a`, body, messageId: `refused-${number}` }),
      ),
    )
    const stored = await Promise.all(
      [1, 2, 3].map((number) => producer.publish({ subject: `${other.subject}.a`, body, messageId: `m${number}` })),
    )
    expect(stored.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    producer.close()
    expect((await refused).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  test('adds one listener to a signal, however many messages are in flight, and rejects all when it aborts', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const producer = createProducer(client)
    const abort = new AbortController()
    const listeners = (): number => getEventListeners(abort.signal, 'abort').length
    const publish = (number: number) =>
      producer.publish({ subject: `${stream.subject}.a`, body, messageId: `m${number}` }, abort.signal)

    const stored = Promise.all(Array.from({ length: 20 }, (_, number) => publish(number)))
    expect(listeners()).toBe(1)
    expect(await stored).toHaveLength(20)
    expect(listeners()).toBe(0)

    const rejected = Promise.allSettled(Array.from({ length: 20 }, (_, number) => publish(20 + number)))
    abort.abort(new Error('enough'))
    expect((await rejected).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 'rejected'))
    expect(listeners()).toBe(0)
    producer.close()
  })

  test('N-6 retries while NATS is down, until it is up or the signal aborts', async () => {
    await using server = await startNats()
    const log = probeLog()
    await using client = await connectTo(server.url, log.logger)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const producer = createProducer(client)
    await server.stop()
    await log.line('NATS disconnected')
    const abort = new AbortController()
    const aborted = producer.publish({ subject: `${stream.subject}.a`, body, messageId: 'aborted' }, abort.signal)
    const kept = producer.publish({ subject: `${stream.subject}.a`, body, messageId: 'kept' })
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    await server.start()
    expect(await kept).toEqual({ stream: stream.name, sequence: 1, duplicate: false })
    await expect(
      producer.publish({ subject: `${stream.subject}.a`, body, messageId: 'late' }, abort.signal),
    ).rejects.toThrow('enough')
  })
})
