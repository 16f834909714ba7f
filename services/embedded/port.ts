import { once } from 'node:events'
import { createServer } from 'node:net'
import { ServerError, messageOf } from '../../src/domain/errors.ts'

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
