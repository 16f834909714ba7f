import { afterAll, afterEach, beforeAll, beforeEach, inject, vi } from 'vitest'
import { connectTo } from '../adapters/nats-client.ts'
import {
  freePort,
  startNats,
  startPostgres,
  type NatsAddress,
  type PostgresAddress,
  type ServerControl,
} from '../servers.ts'
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
 * The service with a private NATS, with `ownPostgres` also a private PostgreSQL, and for each test a new database with the tables of
 * the platform. Create it at the top of a test file: it registers hooks.
 */
export class CdcFixture {
  #nats: (NatsAddress & ServerControl) | undefined
  #postgres: (PostgresAddress & ServerControl) | undefined
  #client: NatsClient | undefined
  #database: TestDatabase | undefined
  readonly #running: ServiceProcess[] = []

  constructor({ ownPostgres = false }: { readonly ownPostgres?: boolean } = {}) {
    beforeAll(async () => {
      if (ownPostgres) this.#postgres = await startPostgres()
      this.#nats = await startNats()
      this.#client = await connectTo(this.#nats.url)
    })
    afterAll(async () => {
      await this.client.drain()
      await this.nats[Symbol.asyncDispose]()
      await this.#postgres?.[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      this.#database = await TestDatabase.create(this.#postgres ?? inject('postgres'))
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

  /** The private PostgreSQL. */
  get postgres(): PostgresAddress & ServerControl {
    return present(this.#postgres)
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

  /** Starts the program with its HTTP port; resolves when it serves. */
  async serve(more: Readonly<Record<string, string>> = {}): Promise<ServedCdc> {
    const port = String(await freePort())
    const process = this.launch({ PONIX_CDC_HTTP_PORT: port, ...more })
    await process.line('serving /healthz')
    return new ServedCdc(process, `http://127.0.0.1:${port}`)
  }

  /** Runs a command of the program; resolves to its exit code and output. */
  async command(...args: readonly string[]): Promise<CommandResult> {
    return await this.commandIn({}, ...args)
  }

  async commandIn(more: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<CommandResult> {
    const process = this.launch(more, args)
    const { code } = await process.outcome
    return { code, text: process.lines.map(({ msg }) => msg).join('\n') }
  }

  /** Resolves when the stream has `count` messages. */
  async untilStored(stream: string, count: number, timeout = WAIT.timeout): Promise<void> {
    await vi.waitUntil(async () => (await storedCount(this.client, stream)) >= count, { ...WAIT, timeout })
  }
}

interface CommandResult {
  readonly code: number | string
  readonly text: string
}

/** A running service and its HTTP port. */
export class ServedCdc {
  readonly process: ServiceProcess
  readonly #url: string

  constructor(process: ServiceProcess, url: string) {
    this.process = process
    this.#url = url
  }

  /** Returns the number of log lines that contain the text. */
  countOf(text: string): number {
    return this.process.lines.filter(({ msg }) => msg.includes(text)).length
  }

  /** Returns the response of `/readyz`, such as `503 {…}`. */
  async readiness(): Promise<string> {
    const response = await fetch(`${this.#url}/readyz`)
    return `${response.status} ${await response.text()}`
  }

  /** Returns the value of a metric without labels; NaN if there is none. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
}

function present<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the fixture is set up by the hooks of the tests')
  return part
}
