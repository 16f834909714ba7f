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
import { createOrderedPublisher } from './producer.ts'
import { ensureStreams } from '../streams.ts'

describe('the order of messages in flight', () => {
  test('C-3 is kept by a full stream, which stores a smaller message only behind the larger one before it', async () => {
    const log = probeLog()
    await using client = await connectTo(inject('nats').url, log.logger)
    const stream = ownStream()
    await ensureStreams(client, [{ ...stream, maxBytes: 1000 }])
    const publisher = createOrderedPublisher(client)
    const [large, ...small] = ['large'.padEnd(950), ...numbered(1, 4)]
    const stored = publishAll(publisher, `${stream.subject}.a`, ['0', large, ...small])
    await log.line('JetStream does not store: maximum bytes exceeded')
    await client.connection.flush()
    expect(await bodiesOf(client, stream.name)).toEqual(['0'])
    const { config } = await client.manager.streams.info(stream.name)
    await client.manager.streams.update(stream.name, { ...config, max_bytes: 10_000 })
    await Promise.all(stored)
    expect(await bodiesOf(client, stream.name)).toEqual(['0', large, ...small])
  })

  test('C-3 is kept if other publishers send messages in between', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client)
    const other = (): void => client.connection.publish(`${stream.subject}.b`, 'other')
    const stored = numbered(0, 50).flatMap((body) => {
      const [one] = publishAll(publisher, `${stream.subject}.a`, [body])
      if (Number(body) % 5 === 4) other()
      return one ?? []
    })
    const all = Promise.all(stored).then(() => true)
    while (!(await Promise.race([all, client.connection.flush().then(() => false)]))) other()
    const bodies = await bodiesOf(client, stream.name)
    expect(bodies.filter((body) => body !== 'other')).toEqual(numbered(0, 50))
    expect(bodies.slice(0, 6)).toEqual(['0', '1', '2', '3', '4', 'other'])
    expect(bodies[6]).toBe('other')
  })

  test('C-3 is kept for each stream when one of several is full', async () => {
    const log = probeLog()
    await using client = await connectTo(inject('nats').url, log.logger)
    const [one, two] = [ownStream(), ownStream()]
    await ensureStreams(client, [one, two])
    const { config } = await client.manager.streams.info(two.name)
    const limitTo = (messages: number) => client.manager.streams.update(two.name, { ...config, max_msgs: messages })
    await limitTo(10)
    const publisher = createOrderedPublisher(client, { maxInFlight: 32 })
    const bodies = numbered(0, 300)
    const both = bodies.flatMap((body) =>
      [one, two].flatMap(({ subject }) => publishAll(publisher, `${subject}.a`, [body])),
    )
    const done = new AbortController()
    const over = Promise.all(both).then(() => done.abort())
    await log.line('JetStream does not store: maximum messages exceeded')
    for (let limit = 11; !done.signal.aborted; limit += 1) await limitTo(limit)
    await over
    expect(await bodiesOf(client, one.name)).toEqual(bodies)
    expect(await bodiesOf(client, two.name)).toEqual(bodies)
  })

  test.for([
    { error: { code: 400, err_code: 10_002, description: 'resource limits exceeded for account' } },
    { error: { code: 409, err_code: 10_158, description: 'duplicate message id is in process' } },
  ])('C-3 is kept by retrying the message after "$error.description"', async (answer) => {
    await using client = await connectTo(inject('nats').url)
    const { subject } = ownStream()
    const arrived = scriptedStream(client, `${subject}.>`, (_body, arrival) =>
      arrival === 1 ? JSON.stringify(answer) : ACK,
    )
    await Promise.all(publishAll(createOrderedPublisher(client), `${subject}.a`, ['0']))
    expect(arrived).toEqual(['0', '0'])
  })
})
