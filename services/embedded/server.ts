import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { ServerError, messageOf } from '../../src/domain/errors.ts'
import type { Logger } from '../../src/runner/logger.ts'

export type ServerName = 'postgres' | 'nats' | 'clickhouse' | 'mqtt'

export interface ServerOptions {
  readonly name: ServerName
  /** On 127.0.0.1. */
  readonly port: number
  /** Of NATS' monitoring, on 127.0.0.1. */
  readonly monitoringPort?: number | undefined
  /** Absolute; exists, is owned by the caller and holds only the data of this server. */
  readonly dataDir: string
  /** Absolute folder of the server's program; npm packages are in its `node_modules`. */
  readonly provisionDir: string
  readonly username: string
  readonly password: string
  readonly database: string
  readonly logger: Logger
  /** Must be called once, when the server accepts clients. */
  readonly ready: () => void
}

/** Serves until the signal aborts, then stops cleanly. Rejects with a ServerError when the server cannot start or ends early. */
export type RunServer = (options: ServerOptions, signal: AbortSignal) => Promise<void>

/** For the error message of a port in use. */
export interface PortPurpose {
  /** `PostgreSQL` */
  readonly server: string
  /** Flag that sets the port: `--port`. */
  readonly flag: string
  /** Variable that sets the port in the default graph: `PONIX_POSTGRES_PORT`. */
  readonly variable: string
}

/** Listens on the port of 127.0.0.1. Throws a ServerError. */
export async function listen(server: Server, port: number, purpose: PortPurpose): Promise<void> {
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    const reason = inUse ? 'is in use by another program' : `cannot be listened on (${messageOf(error)})`
    throw new ServerError(
      `port ${port} of 127.0.0.1, which ${purpose.server} needs, ${reason}: stop that program, or choose another port with ${purpose.flag} (in the default graph: ${purpose.variable})`,
    )
  }
}

/** Throws a ServerError unless the port of 127.0.0.1 is free. */
export async function assertPortFree(port: number, purpose: PortPurpose): Promise<void> {
  const server = createServer()
  await listen(server, port, purpose)
  server.close()
  await once(server, 'close')
}
