import { afterAll, afterEach, beforeAll, beforeEach, inject, vi } from 'vitest'
import { connectTo } from '../adapters/nats-client.ts'
import { startNats, type NatsAddress, type ServerControl } from '../servers.ts'
import { ServiceProcess } from '../program.ts'
import type { NatsClient } from '../../../src/nats/connection.ts'
import { TestDatabase } from '../adapters/capture-rig.ts'

/** Returns the environment for this database and this NATS. */
function environmentOf(
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

/** A message stored in JetStream. */
export interface StoredEvent {
  readonly subject: string
  readonly sequence: number
  readonly body: Uint8Array
  /** The time in ms since 1970. */
  readonly storedAt: number
  header(name: string): string
}

/** Returns all messages of a stream in order, from the sequence `from`. */
export async function storedEvents(client: NatsClient, stream: string, from = 1): Promise<readonly StoredEvent[]> {
  const { state } = await client.manager.streams.info(stream)
  const events: StoredEvent[] = []
  if (state.messages === 0 || state.last_seq < from) return events
  const consumer = await client.jetstream.consumers.get(stream, {
    opt_start_seq: from,
    deliver_policy: 'by_start_sequence',
  })
  const messages = await consumer.consume({ max_messages: 5000 })
  for await (const message of messages) {
    const { headers } = message
    events.push({
      subject: message.subject,
      sequence: message.seq,
      body: message.data,
      storedAt: message.time.getTime(),
      header: (name) => headers?.get(name) ?? '',
    })
    if (message.seq >= state.last_seq) break
  }
  return events
}

/** Returns the number of messages in a stream. */
export async function storedCount(client: NatsClient, stream: string): Promise<number> {
  return (await client.manager.streams.info(stream)).state.messages
}

const WAIT = { timeout: 30_000, interval: 20 }

/**
 * The service with a private NATS, and for each test a new database with the tables of the platform. Create it at the top of a
 * test file: it registers hooks.
 */
export class CdcFixture {
  #nats: (NatsAddress & ServerControl) | undefined
  #client: NatsClient | undefined
  #database: TestDatabase | undefined
  readonly #running: ServiceProcess[] = []

  constructor() {
    beforeAll(async () => {
      this.#nats = await startNats()
      this.#client = await connectTo(this.#nats.url)
    })
    afterAll(async () => {
      await this.client.drain()
      await this.nats[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      this.#database = await TestDatabase.create(inject('postgres'))
      const { streams } = this.client.manager
      for await (const { config } of streams.list()) await streams.delete(config.name)
    })
    afterEach(async () => {
      for (const process of this.#running.splice(0)) await process.kill()
      await this.database[Symbol.asyncDispose]()
    })
  }

  get nats(): NatsAddress & ServerControl {
    return present(this.#nats)
  }

  get client(): NatsClient {
    return present(this.#client)
  }

  get database(): TestDatabase {
    return present(this.#database)
  }

  /** Starts the program, optionally with a command. */
  launch(more: Readonly<Record<string, string>> = {}, args: readonly string[] = []): ServiceProcess {
    const process = new ServiceProcess('cdc', environmentOf(this.database, this.nats.url, more), args)
    this.#running.push(process)
    return process
  }

  /** Starts the program; resolves when it streams. */
  async start(more: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    const process = this.launch(more)
    await process.line('streaming changes')
    return process
  }

  /** Resolves when the stream has `count` messages. */
  async untilStored(stream: string, count: number, timeout = WAIT.timeout): Promise<void> {
    await vi.waitUntil(async () => (await storedCount(this.client, stream)) >= count, { ...WAIT, timeout })
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the fixture is set up by the hooks of the tests')
  return part
}
