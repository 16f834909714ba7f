import type { NatsClient } from '../../src/nats/connection.ts'
import type { TestDatabase } from '../../src/postgres/replication/replication-rig.ts'
import { migrations } from '../../src/postgres/test-schema.ts'

// What the tests of the service stand on: our tables, the program's environment, and what JetStream has stored.

/** Our tables, as the migrations make them. */
export async function migrate(database: TestDatabase): Promise<void> {
  for (const up of await migrations()) await database.sql(up)
}

/** The environment of a program that serves this database and this NATS. */
export function environmentOf(
  database: TestDatabase,
  natsUrl: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { host, port, username, password, database: name } = database.server
  return {
    PONIX_POSTGRES_HOST: host,
    PONIX_POSTGRES_PORT: String(port),
    PONIX_POSTGRES_DATABASE: name,
    PONIX_POSTGRES_USERNAME: username,
    PONIX_POSTGRES_PASSWORD: password,
    PONIX_NATS_URL: natsUrl,
    PONIX_CDC_SLOT_NAME: database.slot,
    PONIX_CDC_BATCH_TIMEOUT_MS: '50',
    PONIX_CDC_RETRY_DELAY_MS: '200',
    PONIX_CDC_MAX_RETRY_ATTEMPTS: '1000',
    ...more,
  }
}

/** A message as JetStream has it. */
export interface StoredEvent {
  readonly subject: string
  readonly sequence: number
  readonly body: Uint8Array
  header(name: string): string
}

/** Everything in a stream now, in its order. */
export async function storedEvents(client: NatsClient, stream: string): Promise<readonly StoredEvent[]> {
  const { state } = await client.manager.streams.info(stream)
  const events: StoredEvent[] = []
  if (state.messages === 0) return events
  const consumer = await client.jetstream.consumers.get(stream)
  const messages = await consumer.consume({ max_messages: 5000 })
  for await (const message of messages) {
    const { headers } = message
    events.push({
      subject: message.subject,
      sequence: message.seq,
      body: message.data,
      header: (name) => headers?.get(name) ?? '',
    })
    if (message.seq >= state.last_seq) break
  }
  return events
}

/** How many messages a stream has. */
export async function storedCount(client: NatsClient, stream: string): Promise<number> {
  return (await client.manager.streams.info(stream)).state.messages
}
