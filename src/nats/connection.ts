import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream'
import { errors, type NatsConnection, type Status } from '@nats-io/nats-core'
import { connect, type NodeConnectionOptions } from '@nats-io/transport-node'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { CommonEnvironment, NatsEnvironment } from '../runner/environment.ts'
import type { Logger } from '../runner/logger.ts'
import { connectWithBackoff, withSignal, type ClientIdentity, type StartupTarget } from '../runner/startup.ts'
import { natsMetrics } from './metrics.ts'
import { OLDEST_NATS_SERVER, isSupportedNatsServer } from './server-version.ts'

export interface NatsOptions extends ClientIdentity {
  /** One URL, or several URLs of one cluster separated by commas; can contain user and password, or a token. */
  readonly url: string
  readonly startupTimeoutMs: number
}

export function natsOptions(environment: CommonEnvironment & NatsEnvironment, client: ClientIdentity): NatsOptions {
  return { url: environment.PONIX_NATS_URL, startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_MS, ...client }
}

/** One connection that reconnects without limit and logs each loss and each reconnect once. */
export interface NatsClient extends AsyncDisposable {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: JetStreamManager
  readonly logger: Logger
  readonly link: NatsLink
  /** JetStream as the target of requests that are repeated at the start. */
  readonly startup: StartupTarget
  /** Checks readiness: rejects unless JetStream answers. */
  ping(signal: AbortSignal): Promise<void>
  /** Sends buffered messages and closes the connection. */
  drain(): Promise<void>
}

const DIAL_TIMEOUT_MS = 5000
const PING_INTERVAL_MS = 10_000

/** Connects with backoff; throws a StartupError if NATS or JetStream does not answer in time or rejects the credentials. */
export async function connectNats(options: NatsOptions): Promise<NatsClient> {
  const { logger, signal } = options
  const target = parseTarget(options.url)
  const startup = { address: target.address, timeoutMs: options.startupTimeoutMs, logger, signal }
  return await connectWithBackoff({ ...startup, server: 'NATS' }, async () => {
    const connection = await dial(target, options.name)
    try {
      checkVersion(connection, target.address)
      const manager = await jetstreamManager(connection)
      return createClient(connection, manager, { ...startup, server: 'JetStream' })
    } catch (error) {
      await connection.close()
      if (!/jetstream is not enabled/i.test(messageOf(error))) throw error
      throw new Error('JetStream is not enabled; start nats-server with -js', { cause: error })
    }
  })
}

type Target = ReturnType<typeof parseTarget>

function parseTarget(text: string) {
  const urls = text.split(',').map((part) => new URL(part.trim()))
  const servers = urls.map((url) => `${url.hostname}:${url.port || '4222'}`)
  const login = urls.find((url) => url.username !== '')
  const user = decodeURIComponent(login?.username ?? '')
  const pass = decodeURIComponent(login?.password ?? '')
  const credentials: Pick<NodeConnectionOptions, 'user' | 'pass' | 'token'> =
    user === '' ? {} : pass === '' ? { token: user } : { user, pass }
  return { servers, address: servers.join(', '), credentials, tls: urls.some((url) => url.protocol === 'tls:') }
}

async function dial(target: Target, name: string): Promise<NatsConnection> {
  try {
    return await connect({
      ...target.credentials,
      ...(target.tls ? { tls: {} } : {}),
      servers: target.servers,
      name,
      timeout: DIAL_TIMEOUT_MS,
      pingInterval: PING_INTERVAL_MS,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: () => 100 + Math.random() * 200,
      ignoreAuthErrorAbort: true,
      // Otherwise the client creates an Error per request for its stack trace.
      noAsyncTraces: true,
    })
  } catch (error) {
    if (!(error instanceof errors.AuthorizationError)) throw error
    throw new StartupError(`NATS at ${target.address} rejected the credentials; check PONIX_NATS_URL`, { cause: error })
  }
}

function checkVersion({ info }: NatsConnection, address: string): void {
  const version = info?.version ?? ''
  if (isSupportedNatsServer(version)) return
  throw new StartupError(
    `NATS at ${address} has version ${version}; expected ${OLDEST_NATS_SERVER} or newer: upgrade nats-server`,
  )
}

function createClient(connection: NatsConnection, manager: JetStreamManager, startup: StartupTarget): NatsClient {
  const { logger } = startup
  const link = new NatsLink(connection, logger)
  const drain = async (): Promise<void> => {
    link.release()
    if (connection.isClosed()) return
    try {
      if (link.connected) return await connection.drain()
    } catch (error) {
      logger.warn(`NATS disconnected during the drain: ${messageOf(error)}`)
    }
    await connection.close()
  }
  return {
    connection,
    jetstream: jetstream(connection),
    manager,
    logger,
    link,
    startup,
    async ping(signal) {
      if (!link.connected) throw new Error('not connected to NATS')
      await withSignal(signal, manager.getAccountInfo())
    },
    drain,
    [Symbol.asyncDispose]: drain,
  }
}

/** The state of the connection; notifies listeners of changes. */
export class NatsLink {
  readonly #connection: NatsConnection
  readonly #logger: Logger
  readonly #listeners = new Set<(connected: boolean) => void>()
  #disconnectedAt: number | undefined
  #released = false

  constructor(connection: NatsConnection, logger: Logger) {
    this.#connection = connection
    this.#logger = logger
    natsMetrics.connected.inc()
    void this.#watch()
  }

  /**
   * True if a publication can reach NATS now. The client library reports a lost connection late, and when it starts to dial it
   * discards messages published meanwhile; from then until the new server has sent its INFO, `info` is undefined. So a
   * publication while this is true is either sent, or lost before `onChange` reports the reconnect.
   */
  get connected(): boolean {
    return this.#disconnectedAt === undefined && this.#connection.info !== undefined && !this.#connection.isClosed()
  }

  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async untilConnected(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.connected) return
    let off = (): void => {}
    const connected = new Promise<void>((resolve) => {
      off = this.onChange((isConnected) => {
        if (isConnected) resolve()
      })
    })
    await withSignal(signal, connected).finally(off)
  }

  /** Stops reporting before an intended close. */
  release(): void {
    if (this.#released) return
    this.#released = true
    if (this.#disconnectedAt === undefined) natsMetrics.connected.dec()
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) this.#onStatus(status)
  }

  #onStatus(status: Status): void {
    if (this.#released) return
    if (status.type === 'disconnect' && this.#disconnectedAt === undefined) {
      this.#disconnectedAt = performance.now()
      natsMetrics.connected.dec()
      this.#logger.warn({ server: status.server }, 'NATS disconnected; reconnecting')
      this.#notify(false)
    } else if (status.type === 'reconnect' && this.#disconnectedAt !== undefined) {
      const seconds = Math.round((performance.now() - this.#disconnectedAt) / 100) / 10
      this.#disconnectedAt = undefined
      natsMetrics.connected.inc()
      natsMetrics.reconnects.inc()
      this.#logger.info({ server: status.server }, `NATS reconnected after ${seconds} s`)
      this.#notify(true)
    } else if (status.type === 'error') {
      this.#logger.error(`NATS reports: ${messageOf(status.error)}`)
    }
  }

  #notify(connected: boolean): void {
    for (const listener of this.#listeners) listener(connected)
  }
}
