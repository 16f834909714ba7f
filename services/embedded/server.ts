import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { StartupError, messageOf } from '../../src/domain/errors.ts'
import type { Logger } from '../../src/runner/logger.ts'

export type ServerName = 'postgres' | 'nats' | 'clickhouse' | 'mqtt'

/** `always`: each message before its acknowledgement. */
export type SyncInterval = '1s' | 'always'

export interface ServerOptions {
  readonly name: ServerName
  /** The port on 127.0.0.1. */
  readonly port: number
  /** The port of NATS' monitoring on 127.0.0.1. */
  readonly monitoringPort?: number | undefined
  /** NATS: how often acknowledged messages are synced to disk. */
  readonly syncInterval: SyncInterval
  /** Absolute path; the folder exists, is owned by the caller and contains only the data of this server. */
  readonly dataDir: string
  /** Absolute folder of the server's program; npm packages are in its `node_modules`. */
  readonly provisionDir: string
  readonly username: string
  readonly password: string
  readonly database: string
  readonly logger: Logger
  /** Reports readiness; call it once, when the server accepts clients. */
  readonly ready: () => void
}

/** Serves until the signal aborts, then stops cleanly. Rejects with a StartupError if the server cannot start or ends early. */
export type RunServer = (options: ServerOptions, signal: AbortSignal) => Promise<void>

/**
 * Listens on the port of 127.0.0.1. Throws a StartupError with the name of the server, and the flag and the variable of the default
 * graph that set the port.
 */
export async function listen(
  server: Server,
  port: number,
  name: string,
  variable: string,
  flag = '--port',
): Promise<void> {
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    const reason = inUse ? 'is in use by another program' : `cannot be used (${messageOf(error)})`
    throw new StartupError(
      `port ${port} of 127.0.0.1, which ${name} needs, ${reason}: stop that program, or choose another port with ${flag} (in the default graph: ${variable})`,
    )
  }
}

/** Throws the StartupError of `listen` unless the port of 127.0.0.1 is free. */
export async function assertPortFree(port: number, name: string, variable: string, flag?: string): Promise<void> {
  const server = createServer()
  await listen(server, port, name, variable, flag)
  server.close()
  await once(server, 'close')
}
