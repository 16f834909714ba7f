import { randomUUID } from 'node:crypto'
import { describe, expect, inject, test, onTestFinished } from 'vitest'
import { connectTo, ownStream, probeLog } from '../../test/rig/nats-client.ts'
import { startNats } from '../../test/rig/servers.ts'
import { createOrderedPublisher } from './ordered-publisher.ts'
import type { NatsClient } from './connection.ts'
import { ensureStreams } from './streams.ts'

const encoder = new TextEncoder()

/** The bodies of a stream's messages in the order JetStream has them. */
async function bodiesOf(client: NatsClient, stream: string): Promise<string[]> {
  const { state } = await client.manager.streams.info(stream)
  const bodies: string[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await client.manager.streams.getMessage(stream, { seq })
    if (message !== null) bodies.push(message.string())
  }
  return bodies
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

describe('ordered publisher', () => {
  test('N-2 stores every message once, in the order of the calls, with its id and headers', async () => {
    await using client = await connectTo(inject('nats').url)
    const stream = ownStream()
    await ensureStreams(client, [stream])
    const publisher = createOrderedPublisher(client, { window: 16 })
    const stored = await Promise.all(
      numbered(0, 500).map((body) =>
        publisher.publish({
          subject: `${stream.subject}.a`,
          body: encoder.encode(body),
          messageId: `m${body}`,
          headers: { 'Ponix-Lsn': '0/1' },
        }),
      ),
    )
    expect(stored.map(({ sequence }) => sequence)).toEqual(numbered(1, 501).map(Number))
    expect(stored.every((one) => one.stream === stream.name && !one.duplicate)).toBe(true)
    expect(await bodiesOf(client, stream.name)).toEqual(numbered(0, 500))
    const first = await client.manager.streams.getMessage(stream.name, { seq: 1 })
    expect(first?.header.get('Nats-Msg-Id')).toBe('m0')
    expect(first?.header.get('Ponix-Lsn')).toBe('0/1')
    const again = await publisher.publish({
      subject: `${stream.subject}.a`,
      body: encoder.encode('x'),
      messageId: 'm7',
    })
    expect(again).toEqual({ stream: stream.name, sequence: 8, duplicate: true })
  })
})
