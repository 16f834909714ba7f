import { describe, expect, inject, test } from 'vitest'
import {
  connectTo,
  ownStream,
  probeLog,
  ACK,
  bodiesOf,
  numbered,
  publishAll,
  scriptedStream,
} from '../../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { createOrderedPublisher } from './producer.ts'
import { encodeHeaders, type Publication } from './publication.ts'
import { ensureStreams } from '../streams.ts'

const FULL = JSON.stringify({ error: { code: 503, err_code: 10_077, description: 'maximum bytes exceeded' } })
const REFUSED = JSON.stringify({
  error: { code: 400, err_code: 10_109, description: 'invalid operation on sealed stream' },
})

const encoder = new TextEncoder()

describe('the ordered publisher', () => {
  test('N-2 stores every message once, in the order of the calls, with id and headers', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client, { maxInFlight: 16 })
    const headers = { 'Ponix-Lsn': '0/1' }
    const stored = await Promise.all(
      numbered(0, 500).map((body) =>
        publisher.publish({
          subject: `${stream.subject}.a`,
          body: encoder.encode(body),
          messageId: `m${body}`,
          headers,
        }),
      ),
    )
    expect(stored.map(({ sequence }) => sequence)).toEqual(numbered(1, 501).map(Number))
    expect(stored.every((one) => one.stream === stream.name && !one.duplicate)).toBe(true)
    expect(await bodiesOf(client, stream.name)).toEqual(numbered(0, 500))
    const first = await client.manager.streams.getMessage(stream.name, { seq: 1 })
    expect(first?.header.get('Nats-Msg-Id')).toBe('m0')
    expect(first?.header.get('Ponix-Lsn')).toBe('0/1')
    const again = await Promise.all(publishAll(publisher, `${stream.subject}.a`, ['7']))
    expect(again).toEqual([{ stream: stream.name, sequence: 8, duplicate: true }])
  })

  test('N-2 limits the messages and the bytes in flight to its window', async () => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    const arrived = scriptedStream(client, `${subject}.>`, () => undefined)
    const byCount = createOrderedPublisher(client, { maxInFlight: 4 })
    const byBytes = createOrderedPublisher(client, { maxInFlightBytes: 10 })
    const promises = [
      ...publishAll(byCount, `${subject}.a`, numbered(0, 9)),
      ...publishAll(byBytes, `${subject}.b`, ['four', 'five.', 'six']),
    ]
    await client.connection.flush()
    await client.connection.flush()
    expect(arrived).toEqual(['0', '1', '2', '3', 'four', 'five.'])
    expect([byCount.inFlight, byBytes.inFlight]).toEqual([4, 2])
    const results = Promise.allSettled(promises)
    byCount.close()
    byBytes.close()
    expect((await results).every(({ status }) => status === 'rejected')).toBe(true)
  })

  test('N-6 stores every message once and in order while NATS is killed and restarted', async () => {
    await using server = await startNats()
    const log = probeLog()
    await using client = await connectTo(server.url, log.logger)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client, { maxInFlight: 64 })
    const promises = publishAll(publisher, `${stream.subject}.a`, numbered(0, 1000))
    await promises[300]
    await server.kill()
    await log.line('NATS disconnected')
    promises.push(...publishAll(publisher, `${stream.subject}.a`, numbered(1000, 1500)))
    await server.start()
    await publisher.flush()
    await Promise.all(promises)
    expect(await bodiesOf(client, stream.name)).toEqual(numbered(0, 1500))
  })

  test('N-6 recreates a stream that is deleted, and stores the remaining messages there in order', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client, { maxInFlight: 8 })
    const promises = publishAll(publisher, `${stream.subject}.a`, numbered(0, 100))
    await promises[20]
    await client.manager.streams.delete(stream.name)
    await Promise.all(promises)
    const bodies = await bodiesOf(client, stream.name)
    expect(bodies).toEqual(numbered(100 - bodies.length, 100))
    expect(bodies.length).toBeLessThan(100)
  })

  test('retries the oldest message alone when acknowledgements are missing, then resends the others in order', async () => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    const arrived = scriptedStream(client, `${subject}.>`, (_body, arrival) => (arrival <= 4 ? undefined : ACK))
    const publisher = createOrderedPublisher(client, { maxInFlight: 4, ackTimeoutMs: 1500 })
    await Promise.all(publishAll(publisher, `${subject}.a`, numbered(0, 6)))
    expect(arrived).toEqual(['0', '1', '2', '3', '0', '1', '2', '3', '4', '5'])
  })

  test('resends only the message whose acknowledgement is missing', async () => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    const arrived = scriptedStream(client, `${subject}.>`, (body, arrival) =>
      body === '1' && arrival < 4 ? undefined : ACK,
    )
    const publisher = createOrderedPublisher(client, { maxInFlight: 4, ackTimeoutMs: 1500 })
    await Promise.all(publishAll(publisher, `${subject}.a`, numbered(0, 6)))
    expect(arrived).toEqual(['0', '1', '2', '3', '4', '5', '1'])
  })

  test('retries a full stream with the oldest message alone, logs it once, and sends no new message during the retries', async () => {
    await using server = await startNats()
    const log = probeLog()
    await using client = await connectTo(server.url, log.logger)
    const { subject } = ownStream()
    const arrived = scriptedStream(client, `${subject}.>`, (_body, arrival) => (arrival <= 4 ? FULL : ACK))
    const publisher = createOrderedPublisher(client, { maxInFlight: 2 })
    await Promise.all(publishAll(publisher, `${subject}.a`, numbered(0, 4)))
    expect(arrived).toEqual(['0', '1', '0', '0', '0', '1', '2', '3'])
    expect(log.count('does not store: maximum bytes exceeded (10077)')).toBe(1)
    expect(log.count('JetStream stores messages again')).toBe(1)
  })

  test('N-6 stores the remaining messages in order when a full stream has space again', async () => {
    const log = probeLog()
    await using client = await connectTo(inject('nats').url, log.logger)
    const stream = ownStream()
    await client.manager.streams.add({
      name: stream.name,
      subjects: [...stream.subjects],
      max_msgs: 40,
      discard: 'new',
    })
    const publisher = createOrderedPublisher(client, { maxInFlight: 8 })
    const promises = publishAll(publisher, `${stream.subject}.a`, numbered(0, 60))
    await log.line('JetStream does not store: maximum messages exceeded')
    expect(await bodiesOf(client, stream.name)).toEqual(numbered(0, 40))
    await client.manager.streams.purge(stream.name)
    const sequences = (await Promise.all(promises)).map(({ sequence }) => sequence)
    expect(sequences).toEqual(numbered(1, 61).map(Number))
  })

  test('rejects a message that can never be stored and all later ones; earlier ones are stored', async () => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    scriptedStream(client, `${subject}.>`, (body) => (body === '2' ? REFUSED : ACK))
    const publisher = createOrderedPublisher(client, { maxInFlight: 3 })
    const results = await Promise.allSettled(publishAll(publisher, `${subject}.a`, numbered(0, 6)))
    expect(results.map((result) => (result.status === 'rejected' ? codeOf(result.reason) : 'stored'))).toEqual([
      'stored',
      'stored',
      'refused',
      'superseded',
      'superseded',
      'superseded',
    ])
    await expect(Promise.all(publishAll(publisher, `${subject}.a`, ['7']))).rejects.toMatchObject({
      code: 'superseded',
    })
  })

  test('rejects a message that exceeds max_payload or has no stream, with the reason', async () => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    const tooLarge = { subject: `${subject}.a`, body: new Uint8Array(2_000_000), messageId: 'm' }
    await expect(createOrderedPublisher(client).publish(tooLarge)).rejects.toMatchObject({
      code: 'too_large',
      message: `message of 2000028 bytes for ${subject}.a exceeds max_payload 1048576 of NATS; raise max_payload`,
    })
    const homeless = createOrderedPublisher(client).publish({ ...tooLarge, body: new Uint8Array(1) })
    await expect(homeless).rejects.toMatchObject({
      code: 'no_stream',
      message: `no stream captures the subject ${subject}.a`,
    })
  })

  test('stores earlier messages that wait for a place in the window when a message cannot be sent', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client, { maxInFlight: 1 })
    const subject = `${stream.subject}.a`
    const earlier = publishAll(publisher, subject, ['0', '1', '2'])
    const tooLarge = publisher.publish({ subject, body: new Uint8Array(2_000_000), messageId: 'm' })
    await expect(tooLarge).rejects.toMatchObject({ code: 'too_large' })
    await Promise.all(earlier)
    expect(await bodiesOf(client, stream.name)).toEqual(['0', '1', '2'])
  })

  test('B-2 stores messages of exactly max_payload with headers, also in a row, and rejects one more byte', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const limit = client.connection.info?.max_payload ?? 0
    const headers = { 'Ponix-Table': 'Gerät' }
    const sized = (messageId: string, bytes: number): Publication => {
      const publication = { subject: `${stream.subject}.a`, body: new Uint8Array(), messageId, headers }
      return { ...publication, body: new Uint8Array(bytes - encodeHeaders(publication).length) }
    }
    const publisher = createOrderedPublisher(client)
    const results = await Promise.allSettled([
      publisher.publish(sized('first', 100)),
      publisher.publish(sized('exact', limit)),
      publisher.publish(sized('exact again', limit)),
      publisher.publish(sized('last', 100)),
      publisher.publish(sized('too large', limit + 1)),
    ])
    expect(
      results.map((result) => (result.status === 'rejected' ? codeOf(result.reason) : result.value.sequence)),
    ).toEqual([1, 2, 3, 4, 'too_large'])
  })

  test('rejects every message that is not stored when the connection closes', async () => {
    const client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    scriptedStream(client, `${subject}.>`, () => undefined)
    const publisher = createOrderedPublisher(client, { maxInFlight: 2 })
    const results = Promise.allSettled(publishAll(publisher, `${subject}.a`, numbered(0, 4)))
    await client.drain()
    const codes = (await results).map((result) => (result.status === 'rejected' ? codeOf(result.reason) : 'stored'))
    expect(codes).toEqual(['closed', 'closed', 'closed', 'closed'])
    await publisher.flush()
  })
})

function codeOf(reason: unknown): unknown {
  return typeof reason === 'object' && reason !== null && 'code' in reason ? reason.code : reason
}
