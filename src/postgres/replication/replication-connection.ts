import { Client, escapeIdentifier, type ClientConfig } from 'pg'
import { StartupError, ReplicationError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { connectWithBackoff } from '../../runner/startup.ts'
import { replicationErrorFrom } from '../errors.ts'
import { parseLsn, type Lsn } from './change.ts'
import { SESSION_OPTIONS } from './column-types.ts'
import { startStream, type ReplicationStream, type StartReplication } from './replication-stream.ts'

/** Where PostgreSQL listens and who we are there. */
export interface PostgresServer {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: string
}

/** The answer to IDENTIFY_SYSTEM: which cluster this is, and where its log ends now. */
export interface SystemIdentity {
  readonly systemId: string
  readonly timeline: string
  readonly walEnd: Lsn
}

/** From where a new slot has every change. */
export interface SlotStart {
  readonly lsn: Lsn
  /** Imports the rows as they are there, until the next statement on the connection; empty if it was not asked for. */
  readonly snapshotName: string
}

export interface SlotOptions {
  /** PostgreSQL 17 and later: standby servers keep a copy of the slot. */
  readonly failover: boolean
  readonly exportSnapshot: boolean
  /** The slot goes with the connection. */
  readonly temporary?: boolean
}

const CONNECT_TIMEOUT_MS = 10_000

/** A connection to PostgreSQL's walsender for one database. */
export class ReplicationConnection {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** Throws a ReplicationError: `rights`, `login` or `connection`. */
  static async open(
    server: PostgresServer,
    applicationName: string,
    signal?: AbortSignal,
  ): Promise<ReplicationConnection> {
    const config: ClientConfig & { readonly replication: 'database' } = {
      host: server.host,
      port: server.port,
      database: server.database,
      user: server.username,
      password: server.password,
      application_name: applicationName,
      options: SESSION_OPTIONS,
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      replication: 'database',
    }
    const client = new Client(config)
    // A broken connection is told by whatever runs on it then.
    client.on('error', () => undefined)
    const cancel = (): void => void client.connection.stream.destroy()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      signal?.throwIfAborted()
      await client.connect()
    } catch (error) {
      client.connection.stream.destroy()
      throw replicationErrorFrom(error, `connect to PostgreSQL at ${addressOf(server)} for replication`)
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
    return new ReplicationConnection(client)
  }

  async identifySystem(): Promise<SystemIdentity> {
    const row = await this.#statement('IDENTIFY_SYSTEM', 'identify the PostgreSQL cluster')
    return {
      systemId: String(row['systemid']),
      timeline: String(row['timeline']),
      walEnd: parseLsn(String(row['xlogpos'])),
    }
  }

  /** Creates a slot for pgoutput; waits until the transactions that run now have ended. */
  async createSlot(slot: string, { failover, exportSnapshot, temporary = false }: SlotOptions): Promise<SlotStart> {
    const plain = exportSnapshot ? 'EXPORT_SNAPSHOT' : 'NOEXPORT_SNAPSHOT'
    const how = failover ? `(SNAPSHOT '${exportSnapshot ? 'export' : 'nothing'}', FAILOVER true)` : plain
    const kind = temporary ? 'TEMPORARY LOGICAL' : 'LOGICAL'
    const text = `CREATE_REPLICATION_SLOT ${escapeIdentifier(slot)} ${kind} pgoutput ${how}`
    const row = await this.#statement(text, `create the replication slot ${slot}`)
    const { snapshot_name: snapshotName } = row
    const lsn = parseLsn(String(row['consistent_point']))
    return { lsn, snapshotName: typeof snapshotName === 'string' ? snapshotName : '' }
  }

  /** Starts the stream. Throws a ReplicationError: `slot_in_use`, `slot_lost`, `publication` … */
  start(request: StartReplication): Promise<ReplicationStream> {
    return startStream(this.#client, request)
  }

  /** Ends the connection at once. */
  async close(): Promise<void> {
    await this.#client.end()
  }

  async #statement(text: string, doing: string): Promise<Readonly<Record<string, unknown>>> {
    try {
      const { rows } = await this.#client.query<Record<string, unknown>>(text)
      return rows[0] ?? {}
    } catch (error) {
      throw replicationErrorFrom(error, doing)
    }
  }
}

function addressOf(server: PostgresServer): string {
  return `${server.host}:${server.port}/${server.database}`
}

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
