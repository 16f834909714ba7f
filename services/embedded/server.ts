import type { Logger } from '../../src/runner/logger.ts'

export type ServerName = 'postgres' | 'nats' | 'clickhouse' | 'mqtt'

/** What a backing server is started with. */
export interface ServerOptions {
  readonly name: ServerName
  /** On 127.0.0.1. */
  readonly port: number
  /** Of NATS' monitoring, on 127.0.0.1. */
  readonly monitoringPort?: number | undefined
  /** Absolute; exists, belongs to the caller, holds this server's data alone. */
  readonly dataDir: string
  /** The folder its program was found in or installed to, absolute; npm packages are in its `node_modules`. */
  readonly provisionDir: string
  readonly username: string
  readonly password: string
  readonly database: string
  readonly logger: Logger
  /** To be called once, as soon as clients are served. */
  ready(): void
}

/**
 * Serves until the signal aborts, then stops cleanly and resolves. Rejects with a ServerError when the server cannot be
 * started or ends by itself.
 */
export type RunServer = (options: ServerOptions, signal: AbortSignal) => Promise<void>
