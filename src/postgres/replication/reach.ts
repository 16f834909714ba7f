import { StartupError, ReplicationError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { connectWithBackoff } from '../../runner/startup.ts'
import { ReplicationConnection, type PostgresServer } from './replication-connection.ts'

/**
 * Waits until PostgreSQL takes a replication connection. Throws a StartupError when it does not in time, and at once when it
 * refuses us.
 */
export async function reachPostgres(
  server: PostgresServer,
  options: { readonly timeoutMs: number; readonly logger: Logger; readonly signal?: AbortSignal },
): Promise<void> {
  const address = `${server.host}:${server.port}/${server.database}`
  await connectWithBackoff({ server: 'PostgreSQL', address, ...options }, async (signal) => {
    try {
      const connection = await ReplicationConnection.open(server, 'ponix-cdc', signal)
      await connection.close()
    } catch (error) {
      if (error instanceof ReplicationError && !error.retryable) throw new StartupError(error.message, { cause: error })
      throw error
    }
  })
}
