import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import type { NatsClient } from '../../src/nats/connection.ts'
import type { TestDatabase } from '../../src/postgres/replication/replication-rig.ts'

// What the tests of the service stand on: the real program as a child process, our tables, and what JetStream has stored.

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The program, bundled as the build does it. */
export async function bundleCdc(): Promise<{ readonly path: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'ponix-cdc-'))
  const build = await rolldown({
    input: join(root, 'services/cdc/main.ts'),
    cwd: root,
    platform: 'node',
    external: ['pg-native'],
    tsconfig: join(root, 'tsconfig.json'),
    onLog: () => undefined,
  })
  await build.write({ file: join(folder, 'cdc.mjs'), format: 'esm', codeSplitting: false })
  await build.close()
  return {
    path: join(folder, 'cdc.mjs'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The `up` parts of the migrations, in order. */
export async function migrate(database: TestDatabase): Promise<void> {
  const folder = join(root, 'migrations/postgres')
  for (const file of (await readdir(folder)).sort()) {
    const text = await readFile(join(folder, file), 'utf8')
    await database.sql(text.slice(0, text.indexOf('-- migrate:down')))
  }
}

/** A line that the program wrote. */
export interface CdcLine {
  readonly msg: string
  readonly [field: string]: unknown
}

/** The running program. */
export class CdcProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: CdcLine[] = []
  readonly #exit: Promise<unknown>
  #rest = ''

  constructor(path: string, environment: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [path], {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (chunk: string) => this.#onOutput(chunk))
    }
    this.#exit = once(this.#child, 'close')
  }

  get lines(): readonly CdcLine[] {
    return this.#lines
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** Resolves at the first line, past or future, whose message contains the text; rejects if the program ends without it. */
  async line(text: string): Promise<CdcLine> {
    const ended = this.#exit.then(() => 'ended' as const)
    for (;;) {
      const found = this.#lines.find(({ msg }) => msg.includes(text))
      if (found !== undefined) return found
      const what = await Promise.race([once(this.#child, 'line'), ended])
      if (what === 'ended' && !this.#lines.some(({ msg }) => msg.includes(text))) {
        throw new Error(`cdc ended before it said "${text}":\n${this.#lines.map(({ msg }) => msg).join('\n')}`)
      }
    }
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  /** SIGTERM; resolves to the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    return this.exited()
  }

  /** Resolves to the exit code when the program has ended. */
  async exited(): Promise<number | null> {
    await this.#exit
    return this.#child.exitCode
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  #onOutput(chunk: string): void {
    const parts = (this.#rest + chunk).split('\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) this.#lines.push(lineOf(part))
    this.#child.emit('line')
  }
}

function lineOf(text: string): CdcLine {
  try {
    const line: unknown = JSON.parse(text)
    if (typeof line === 'object' && line !== null && 'msg' in line && typeof line.msg === 'string') {
      return { ...line, msg: line.msg }
    }
  } catch {
    // Not of the log: the one line of a program that cannot start.
  }
  return { msg: text }
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
