import { expect, test } from 'vitest'
import { connectTo, ownStream, probeLog, bodiesOf } from '../../../test/rig/adapters/nats-client.ts'
import { startNats } from '../../../test/rig/servers.ts'
import { runConsumer } from './consumer.ts'
import type { MessageResult } from '../delivery.ts'
import { createOrderedPublisher, createProducer } from '../publisher/producer.ts'
import { ensureStreams } from '../streams.ts'

const MESSAGES = 3000
const KILLS = 3

/** publisher ─► stream `from` ─► consumer ─► producer ─► stream `to`, while the server is killed several times. */
test('N-2 N-6 every message passes two streams through several kills of NATS: in order into the first, once into the second', async () => {
  await using server = await startNats()
  const log = probeLog()
  await using upstream = await connectTo(server.url, log.logger)
  const workerLog = probeLog()
  await using worker = await connectTo(server.url, workerLog.logger)
  const from = ownStream()
  const to = ownStream()
  await ensureStreams(upstream, [from, to])

  const publisher = createOrderedPublisher(upstream, { maxInFlight: 32 })
  const bodies = Array.from({ length: MESSAGES }, (_, index) => String(index))
  const published = bodies.map((body) =>
    publisher.publish({ subject: `${from.subject}.a`, body: Buffer.from(body), messageId: `p${body}` }),
  )

  const producer = createProducer(worker)
  const passed = new Set<number>()
  const abort = new AbortController()
  const consumer = runConsumer(
    {
      client: worker,
      service: 'test',
      stream: from.name,
      durable: 'mover',
      filterSubject: `${from.subject}.>`,
      batchSize: 50,
      batchWaitMs: 10,
      ackWaitMs: 1000,
      observeIntervalMs: 50,
      async handle(batch) {
        const moves = batch.map(async ({ body, streamSequence }): Promise<MessageResult> => {
          await producer.publish({ subject: `${to.subject}.a`, body, messageId: `c${streamSequence}` })
          passed.add(streamSequence)
          if (passed.size === MESSAGES) abort.abort()
          return { kind: 'ack' }
        })
        return await Promise.all(moves)
      },
    },
    abort.signal,
  )

  for (let kill = 1; kill <= KILLS; kill++) {
    await published[Math.floor((MESSAGES * kill) / (KILLS + 1))]
    await server.kill()
    await server.start()
    // Without this wait, the client could treat the next kill as the same outage.
    await log.line('NATS reconnected', kill)
  }
  await Promise.all(published)
  await consumer
  expect(await bodiesOf(upstream, from.name)).toEqual(bodies)
  expect((await bodiesOf(upstream, to.name)).map(Number).toSorted((a, b) => a - b)).toEqual(bodies.map(Number))
  expect(log.count('NATS disconnected')).toBe(KILLS)
  expect(log.count('NATS reconnected')).toBe(KILLS)
  expect(workerLog.count('not received')).toBe(0)
})
