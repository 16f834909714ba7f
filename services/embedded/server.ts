import { once } from 'node:events'
import { createServer } from 'node:net'
import { ServerError, messageOf } from '../../src/domain/errors.ts'
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

/** Whose a port was to be, and how to choose another. */
export interface PortPurpose {
  /** `PostgreSQL` */
  readonly server: string
  /** The flag of this program: `--port`. */
  readonly flag: string
  /** What sets it in the default graph: `PONIX_POSTGRES_PORT`. */
  readonly setting: string
}

/** Throws a ServerError unless the port of 127.0.0.1 is free. */
export async function assertPortFree(port: number, purpose: PortPurpose): Promise<void> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    throw portError(port, purpose, error)
  }
  server.close()
  await once(server, 'close')
}

/** The one line for a port that could not be listened on. */
export function portError(port: number, { server, flag, setting }: PortPurpose, error: unknown): ServerError {
  const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
  const reason = inUse ? 'is in use by another program' : `cannot be listened on (${messageOf(error)})`
  return new ServerError(
    `port ${port} of 127.0.0.1, which ${server} needs, ${reason}: stop that program, or choose another port with ${flag} (in the default graph: ${setting})`,
  )
}
