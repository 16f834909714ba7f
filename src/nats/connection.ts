import { jetstream, jetstreamManager, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream'
import { errors, type NatsConnection, type Status } from '@nats-io/nats-core'
import { connect, type NodeConnectionOptions } from '@nats-io/transport-node'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { ClientIdentity } from '../runner/startup.ts'
import type { CommonEnvironment, NatsEnvironment } from '../runner/environment.ts'
import type { Logger } from '../runner/logger.ts'
import { connectWithBackoff } from '../runner/startup.ts'
import { natsMetrics } from './metrics.ts'

export interface NatsOptions {
  /** One URL, or several of one cluster separated by commas; user and password, or a token, may be in it. */
  readonly url: string
  /** The connection's name, seen in NATS' monitoring. */
  readonly name: string
  readonly startupTimeoutMs: number
  readonly logger: Logger
  readonly signal?: AbortSignal
}

/** One connection that reconnects for ever; says once when NATS went away and once when it is back (N-6). */
export interface NatsClient extends AsyncDisposable {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  readonly manager: JetStreamManager
  readonly logger: Logger
  /** Whether NATS is there now, and who wants to know when that changes. */
  readonly link: NatsLink
  /** Rejects unless JetStream answers: a readiness check. */
  ping(signal: AbortSignal): Promise<void>
  /** Sends what is buffered and closes. */
  drain(): Promise<void>
}

const DIAL_TIMEOUT_MS = 5000
const PING_INTERVAL_MS = 10_000

/** Connects with backoff; throws a StartupError when NATS or its JetStream does not answer in time, or refuses us. */
export async function connectNats(options: NatsOptions): Promise<NatsClient> {
  const { logger, signal } = options
  const target = parseTarget(options.url)
  return await connectWithBackoff(
    { server: 'NATS', address: target.address, timeoutMs: options.startupTimeoutMs, logger, signal },
    async () => {
      const connection = await dial(target, options.name)
      try {
        const manager = await jetstreamManager(connection)
        return createClient(connection, manager, logger)
      } catch (error) {
        await connection.close()
        if (!/jetstream is not enabled/i.test(messageOf(error))) throw error
        throw new Error('it runs without JetStream; start nats-server with -js', { cause: error })
      }
    },
  )
}

interface Target {
  readonly servers: string[]
  /** Without credentials. */
  readonly address: string
  readonly credentials: Pick<NodeConnectionOptions, 'user' | 'pass' | 'token'>
  readonly tls: boolean
}

function parseTarget(text: string): Target {
  const urls = text.split(',').map((part) => new URL(part.trim()))
  const servers = urls.map((url) => `${url.hostname}:${url.port || '4222'}`)
  const login = urls.find((url) => url.username !== '')
  const user = decodeURIComponent(login?.username ?? '')
  const pass = decodeURIComponent(login?.password ?? '')
  const credentials = user === '' ? {} : pass === '' ? { token: user } : { user, pass }
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
      // The client builds an Error for every request otherwise, to have a stack trace in case it fails.
      noAsyncTraces: true,
    })
  } catch (error) {
    if (!(error instanceof errors.AuthorizationError)) throw error
    throw new StartupError(`NATS at ${target.address} refused the credentials; check PONIX_NATS_URL`, { cause: error })
  }
}

function createClient(connection: NatsConnection, manager: JetStreamManager, logger: Logger): NatsClient {
  const link = new NatsLink(connection, logger)
  const drain = async (): Promise<void> => {
    link.release()
    if (connection.isClosed()) return
    try {
      if (link.connected) return await connection.drain()
    } catch (error) {
      logger.warn(`NATS went away while the connection was drained: ${messageOf(error)}`)
    }
    await connection.close()
  }
  return {
    connection,
    jetstream: jetstream(connection),
    manager,
    logger,
    link,
    async ping(signal) {
      if (!link.connected) throw new Error('not connected to NATS')
      await withSignal(signal, manager.getAccountInfo())
    },
    drain,
    [Symbol.asyncDispose]: drain,
  }
}

/** What the work comes to, or the signal's reason when that aborts first. */
export async function withSignal<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  let onAbort = (): void => {}
  const cut = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, cut])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

type LinkListener = (connected: boolean) => void

/** Whether NATS is there. Says once that it went away and once that it is back (N-6). */
export class NatsLink {
  readonly #connection: NatsConnection
  readonly #logger: Logger
  readonly #listeners = new Set<LinkListener>()
  #awaySince: number | undefined
  #released = false

  constructor(connection: NatsConnection, logger: Logger) {
    this.#connection = connection
    this.#logger = logger
    natsMetrics.connected.inc()
    void this.#watch()
  }

  /**
   * Whether what is published now can reach NATS. The client library reports a lost connection a little late and throws away
   * what was published meanwhile when it starts to dial; from then on, until the new server has introduced itself, there is
   * no `info`. So a publication while this is true is either sent, or lost before `onChange` reports the connection again.
   */
  get connected(): boolean {
    return this.#awaySince === undefined && this.#connection.info !== undefined && !this.#connection.isClosed()
  }

  /** Calls the listener at every change until the returned function is called. */
  onChange(listener: LinkListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when NATS is there; rejects with the signal's reason. */
  async untilConnected(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.connected) return
    await new Promise<void>((resolve, reject) => {
      const settle = (done: () => void): void => {
        off()
        signal.removeEventListener('abort', onAbort)
        done()
      }
      const onAbort = (): void => settle(() => reject(signal.reason))
      const off = this.onChange((connected) => {
        if (connected) settle(resolve)
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** The connection is about to be closed on purpose: nothing is said of it any more. */
  release(): void {
    if (this.#released) return
    this.#released = true
    if (this.#awaySince === undefined) natsMetrics.connected.dec()
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) this.#onStatus(status)
  }

  #onStatus(status: Status): void {
    if (this.#released) return
    if (status.type === 'disconnect' && this.#awaySince === undefined) {
      this.#awaySince = performance.now()
      natsMetrics.connected.dec()
      this.#logger.warn({ server: status.server }, 'NATS went away; reconnecting')
      this.#notify(false)
    } else if (status.type === 'reconnect' && this.#awaySince !== undefined) {
      const seconds = Math.round((performance.now() - this.#awaySince) / 100) / 10
      this.#awaySince = undefined
      natsMetrics.connected.inc()
      natsMetrics.reconnects.inc()
      this.#logger.info({ server: status.server }, `NATS is back after ${seconds} s`)
      this.#notify(true)
    } else if (status.type === 'error') {
      this.#logger.error(`NATS reports: ${messageOf(status.error)}`)
    }
  }

  #notify(connected: boolean): void {
    for (const listener of this.#listeners) listener(connected)
  }
}

/** How a service reaches NATS, as its environment says. */
export function natsOptions(environment: CommonEnvironment & NatsEnvironment, client: ClientIdentity): NatsOptions {
  return { url: environment.PONIX_NATS_URL, startupTimeoutMs: environment.PONIX_STARTUP_TIMEOUT_MS, ...client }
}
