import type { NatsClient } from '../../src/nats/connection.ts'
import type { OrderedPublisher } from '../../src/nats/ordered-publisher.ts'
import type { Stored } from '../../src/nats/publication.ts'

// What the tests of ordered publishing stand on: numbered messages, and what a stream has of them.

const encoder = new TextEncoder()

/** The bodies of a stream's messages in the order JetStream has them. */
export async function bodiesOf(client: NatsClient, stream: string): Promise<string[]> {
  const { state } = await client.manager.streams.info(stream)
  const bodies: string[] = []
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await client.manager.streams.getMessage(stream, { seq })
    if (message !== null) bodies.push(message.string())
  }
  return bodies
}

export function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index))
}

export function publishAll(publisher: OrderedPublisher, subject: string, bodies: readonly string[]): Promise<Stored>[] {
  return bodies.map((body) => publisher.publish({ subject, body: encoder.encode(body), messageId: `m${body}` }))
}

/** Stands for a stream: answers each message on the subject as the script says, with an acknowledgement or not at all. */
export function scriptedStream(
  client: NatsClient,
  subject: string,
  answer: (body: string, arrival: number) => string | undefined,
) {
  const arrived: string[] = []
  client.connection.subscribe(subject, {
    callback: (_error, message) => {
      arrived.push(message.string())
      const reply = answer(message.string(), arrived.length)
      if (reply !== undefined) message.respond(reply)
    },
  })
  return arrived
}

/** What JetStream says of a message that it has stored. */
export const ACK = JSON.stringify({ stream: 'scripted', seq: 1 })
