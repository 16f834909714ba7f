import { Client, escapeIdentifier, type ClientConfig } from 'pg'
import { ReplicationError, StartupError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { connectWithBackoff } from '../../runner/startup.ts'
import { clientConfig, type PostgresServer } from '../database.ts'
import { attempt, replicationErrorFrom } from '../errors.ts'
import { parseLsn, type Lsn } from './change.ts'
import { SESSION_OPTIONS } from './column-types.ts'
import { startStream, type ReplicationStream, type StartReplication } from './replication-stream.ts'

/** Identifies a cluster and its history: the reply to IDENTIFY_SYSTEM. */
export interface SystemIdentity {
  readonly systemId: string
  readonly timeline: string
}

/** The position from which a new slot has every change. */
export interface SlotStart {
  readonly lsn: Lsn
  /** The exported snapshot at that position, valid until the connection's next statement; empty if it was not requested. */
  readonly snapshotName: string
}

export interface SlotOptions {
  /** Whether standby servers keep a copy of the slot (PostgreSQL 17 and later). */
  readonly failover: boolean
  readonly exportSnapshot: boolean
  /** Whether the slot is dropped with the connection. */
  readonly temporary?: boolean
}

/** The idle time before TCP keepalive probes the connection; the default of Linux is two hours. */
const KEEPALIVE_AFTER_MS = 10_000

/** Opens a client whose output does not depend on the server's settings. Throws a ReplicationError. */
export async function openClient(
  server: PostgresServer,
  config: ClientConfig,
  { purpose = '', signal }: { readonly purpose?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<Client> {
  const client = new Client({
    ...clientConfig(server),
    options: SESSION_OPTIONS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_AFTER_MS,
    connectionTimeoutMillis: 10_000,
    ...config,
  })
  // The next statement reports a broken connection.
  client.on('error', () => undefined)
  const cancel = (): void => void client.connection.stream.destroy()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    signal?.throwIfAborted()
    await client.connect()
    return client
  } catch (error) {
    client.connection.stream.destroy()
    throw replicationErrorFrom(error, `connect to PostgreSQL at ${addressOf(server)}${purpose}`)
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

/** A connection to PostgreSQL's walsender for one database. */
export class ReplicationConnection {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** Opens a connection. Throws a ReplicationError: `rights`, `login` or `connection`. */
  static async open(server: PostgresServer, name: string, signal?: AbortSignal): Promise<ReplicationConnection> {
    const config: ClientConfig & { readonly replication: 'database' } = {
      application_name: name,
      replication: 'database',
    }
    return new ReplicationConnection(await openClient(server, config, { purpose: ' for replication', signal }))
  }

  async identifySystem(): Promise<SystemIdentity> {
    const row = await this.#statement('IDENTIFY_SYSTEM', 'identify the PostgreSQL cluster')
    return { systemId: String(row['systemid']), timeline: String(row['timeline']) }
  }

  /** Returns the process id of the walsender in PostgreSQL. */
  async backendPid(): Promise<number> {
    const row = await this.#statement('SELECT pg_backend_pid() AS pid', 'read the process id of the walsender')
    return Number(row['pid'])
  }

  /** Creates a slot for pgoutput; waits until all running transactions have ended. */
  async createSlot(slot: string, { failover, exportSnapshot, temporary = false }: SlotOptions): Promise<SlotStart> {
    const snapshot = exportSnapshot ? 'EXPORT_SNAPSHOT' : 'NOEXPORT_SNAPSHOT'
    const options = failover ? `(SNAPSHOT '${exportSnapshot ? 'export' : 'nothing'}', FAILOVER true)` : snapshot
    const kind = temporary ? 'TEMPORARY LOGICAL' : 'LOGICAL'
    const text = `CREATE_REPLICATION_SLOT ${escapeIdentifier(slot)} ${kind} pgoutput ${options}`
    const row = await this.#statement(text, `create the replication slot ${slot}`)
    const { snapshot_name: snapshotName } = row
    const lsn = parseLsn(String(row['consistent_point']))
    return { lsn, snapshotName: typeof snapshotName === 'string' ? snapshotName : '' }
  }

  /** Starts the stream. Throws a ReplicationError: `slot_in_use`, `slot_lost`, `publication` … */
  start(request: StartReplication): Promise<ReplicationStream> {
    return startStream(this.#client, request)
  }

  async close(): Promise<void> {
    await this.#client.end()
  }

  async #statement(text: string, action: string): Promise<Readonly<Record<string, unknown>>> {
    const { rows } = await attempt(action, () => this.#client.query<Record<string, unknown>>(text))
    return rows[0] ?? {}
  }
}

/**
 * Waits until PostgreSQL accepts a replication connection. Throws a StartupError after `timeoutMs`, and immediately if a retry
 * cannot help.
 */
export async function waitForPostgres(
  server: PostgresServer,
  options: { readonly timeoutMs: number; readonly logger: Logger; readonly signal?: AbortSignal },
): Promise<void> {
  await connectWithBackoff({ server: 'PostgreSQL', address: addressOf(server), ...options }, async (signal) => {
    try {
      const connection = await ReplicationConnection.open(server, 'ponix-cdc', signal)
      await connection.close()
    } catch (error) {
      if (error instanceof ReplicationError && !error.retryable) throw new StartupError(error.message, { cause: error })
      throw error
    }
  })
}

function addressOf(server: PostgresServer): string {
  return `${server.host}:${server.port}/${server.database}`
}
