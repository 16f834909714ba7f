import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/nats-core'
import type { Logger } from '../runner/logger.ts'

export interface NatsOptions {
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
  /** Rejects unless JetStream answers: a readiness check. */
  ping(signal: AbortSignal): Promise<void>
  /** Sends what is buffered and closes. */
  drain(): Promise<void>
}

export function connectNats(_options: NatsOptions): Promise<NatsClient> {
  throw new Error('to be built')
}
