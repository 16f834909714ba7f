import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { connectNats, type NatsClient } from '../../src/nats/connection.ts'
import { createLogger } from '../../src/runner/logger.ts'
import { BenchProgram } from '../rig/program.ts'
import { BenchServer } from '../rig/server.ts'

const STREAM = 'entities'

/** The result of a contender's run. */
export interface Run {
  /** The time from the log line "streaming changes" until JetStream has every event, or until the program has read every row. */
  readonly ms: number
  readonly megabytes: number
}

/** A program to measure, with its arguments. */
export interface Contender {
  readonly program: string
  readonly args: readonly string[]
  readonly nodeFlags?: readonly string[]
  /** The run ends when JetStream has all events (`stored`), or when the program logs `done`. */
  readonly until: 'stored' | 'done'
}

/** A private PostgreSQL and NATS, with the tables of the platform and a backlog in a slot that is copied for each run. */
export class CdcBenchServers {
  readonly database: Client
  readonly nats: NatsClient
  readonly root: string
  readonly #postgres: BenchServer
  readonly #natsServer: BenchServer
  #slots = 0

  private constructor(
    root: string,
    postgres: BenchServer,
    natsServer: BenchServer,
    database: Client,
    nats: NatsClient,
  ) {
    this.root = root
    this.#postgres = postgres
    this.#natsServer = natsServer
    this.database = database
    this.nats = nats
  }

  static async open(root: string, scratch: string): Promise<CdcBenchServers> {
    const [postgres, natsServer] = await Promise.all([
      BenchServer.start(root, 'postgres', scratch),
      BenchServer.start(root, 'nats', scratch),
    ])
    const database = connectionTo(postgres.port)
    await database.connect()
    const folder = join(root, 'migrations/postgres')
    for (const file of readdirSync(folder).sort()) {
      const text = readFileSync(join(folder, file), 'utf8')
      await database.query(text.slice(0, text.indexOf('-- migrate:down')))
    }
    process.env['PONIX_LOG_LEVEL'] = 'silent'
    const nats = await connectNats({
      url: `nats://127.0.0.1:${natsServer.port}`,
      name: 'bench',
      startupTimeoutMs: 10_000,
      logger: createLogger('bench'),
    })
    return new CdcBenchServers(root, postgres, natsServer, database, nats)
  }

  /** Opens another connection. */
  async connection(): Promise<Client> {
    const client = connectionTo(this.#postgres.port)
    await client.connect()
    return client
  }

  /** Fills the slot `backlog` with `transactions` transactions of a hundred inserts each. */
  async load(transactions: number): Promise<void> {
    await this.database.query(`SELECT pg_create_logical_replication_slot('backlog', 'pgoutput')`)
    await this.database.query(`DO $$ BEGIN
      FOR t IN 1..${transactions} LOOP
        INSERT INTO organizations (id, name) SELECT 'organization-' || t || '-' || n, 'An organization of the benchmark' FROM generate_series(1, 100) n;
        COMMIT;
      END LOOP;
    END $$`)
  }

  /** Returns the environment of a program that reads this slot. */
  environment(slot: string): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      PONIX_LOG_LEVEL: 'info',
      PONIX_POSTGRES_HOST: '127.0.0.1',
      PONIX_POSTGRES_PORT: String(this.#postgres.port),
      PONIX_NATS_URL: `nats://127.0.0.1:${this.#natsServer.port}`,
      PONIX_CDC_SLOT_NAME: slot,
    }
  }

  /** Runs a contender on the backlog until `rows` rows are processed. */
  async run({ program, args, until, nodeFlags = [] }: Contender, rows: number): Promise<Run> {
    const slot = `run_${(this.#slots += 1)}`
    await this.database.query(`SELECT pg_copy_logical_replication_slot('backlog', $1)`, [slot])
    await this.nats.manager.streams.delete(STREAM).catch(() => undefined)
    const environment = { ...this.environment(slot), BENCH_ROWS: String(rows) }
    const contender = new BenchProgram([...nodeFlags, program, ...args], environment)
    const done = until === 'done' ? contender.logLine('"done"') : undefined
    const start = await contender.logLine('streaming changes')
    const end = await (done ?? contender.during(this.#whenStored(rows)))
    const { megabytes } = contender
    await contender.stop()
    await this.database.query('SELECT pg_drop_replication_slot($1)', [slot])
    return { ms: end - start, megabytes }
  }

  async close(): Promise<void> {
    await this.nats.drain()
    await this.database.end()
    await Promise.all([this.#postgres.stop(), this.#natsServer.stop()])
  }

  async #whenStored(rows: number): Promise<number> {
    for (;;) {
      const { state } = await this.nats.manager.streams.info(STREAM)
      if (state.messages >= rows) return performance.now()
      await sleep(20)
    }
  }
}

function connectionTo(port: number): Client {
  return new Client({ host: '127.0.0.1', port, database: 'ponix', user: 'ponix', password: 'ponix' })
}
