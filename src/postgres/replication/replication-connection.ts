import { Client, escapeIdentifier, escapeLiteral, type ClientConfig, type Connection, type Submittable } from 'pg'
import { readFrame, writeStatus, type Frame } from './frames.ts'
import { formatLsn, parseLsn, type Lsn } from './lsn.ts'
import { ReplicationError, replicationErrorFrom } from './replication-error.ts'
import { SESSION_OPTIONS } from './session-options.ts'

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

export interface StartReplication {
  readonly slot: string
  readonly publication: string
  /** The server starts here or where the slot stands, whichever is later. */
  readonly from: Lsn
  /** Whether logical messages are wanted: PostgreSQL 14 and later. */
  readonly messages: boolean
  /** Called for each frame, in order, also shortly after `pause`. What it throws ends the stream. */
  readonly onFrame: (frame: Frame) => void
}

const CONNECT_TIMEOUT_MS = 10_000

/**
 * The places in PostgreSQL that tell of a missing publication, whatever the language: up to version 17 it is an error, since
 * then a warning, and its changes are left out.
 */
const PUBLICATION_ROUTINES: ReadonlySet<unknown> = new Set(['get_publication_oid', 'LoadPublications'])

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
  async start(request: StartReplication): Promise<ReplicationStream> {
    const publications = escapeLiteral(escapeIdentifier(request.publication))
    const text =
      `START_REPLICATION SLOT ${escapeIdentifier(request.slot)} LOGICAL ${formatLsn(request.from)}` +
      ` (proto_version '1', publication_names ${publications}${request.messages ? ", messages 'true'" : ''})`
    const query = new CopyBoth(text, request)
    this.#client.on('notice', (notice) => {
      if (tellsOfMissingPublication(notice)) query.fail(publicationMissing(request, notice))
    })
    try {
      this.#client.connection.once('replicationStart', query.handleStart)
      this.#client.query(query)
      await query.started
    } catch (error) {
      throw replicationErrorFrom(error, `stream from the replication slot ${request.slot}`)
    } finally {
      this.#client.connection.off('replicationStart', query.handleStart)
    }
    return new ReplicationStream(copyChannel(this.#client.connection), query)
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

/** A running stream of changes. */
export class ReplicationStream {
  /** Rejects with a ReplicationError when the stream breaks; resolves when the server has ended it. */
  readonly ended: Promise<void>
  readonly #channel: CopyChannel
  readonly #query: CopyBoth

  constructor(channel: CopyChannel, query: CopyBoth) {
    this.#channel = channel
    this.#query = query
    this.ended = query.ended.catch((error: unknown) => {
      throw replicationErrorFrom(error, 'go on streaming changes')
    })
    this.ended.catch(() => undefined)
  }

  /** Tells the server that everything up to `confirmed` is stored; with `replyRequested` it answers with a keepalive. */
  confirm(confirmed: Lsn, replyRequested = false): void {
    this.#channel.sendCopyFromChunk(writeStatus(confirmed, replyRequested, Date.now()))
  }

  /** Stops reading from the socket, so that PostgreSQL waits. Frames that were read already are still delivered. */
  pause(): void {
    this.#channel.stream.pause()
  }

  resume(): void {
    this.#channel.stream.resume()
  }

  /**
   * Ends the stream: a last confirmation, then the copy's end from both sides, which shows that the server has taken the
   * confirmation. What the server still sends is dropped. Resolves to false when it did not answer in time.
   */
  async finish(confirmed: Lsn, timeoutMs: number): Promise<boolean> {
    this.#query.dropFrames()
    this.resume()
    this.confirm(confirmed)
    const done = new Promise<boolean>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs, false)
      const settle = (answered: boolean) => () => {
        clearTimeout(timer)
        resolve(answered)
      }
      this.#channel.once('copyDone', settle(true))
      this.ended.then(settle(true), settle(false))
    })
    this.#channel.endCopyFrom()
    return done
  }
}

/** What pg's connection can do besides what its types say. */
interface CopyChannel extends Connection {
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

function copyChannel(connection: Connection): CopyChannel {
  if (!isCopyChannel(connection)) throw new Error('this version of pg has no copy-both mode')
  return connection
}

function isCopyChannel(connection: Connection): connection is CopyChannel {
  return 'sendCopyFromChunk' in connection && 'endCopyFrom' in connection
}

/** The query that switches the connection to copy-both mode; pg calls its `handle…` methods. */
class CopyBoth implements Submittable {
  readonly started: Promise<void>
  readonly ended: Promise<void>
  readonly handleStart: () => void
  readonly #text: string
  readonly #request: StartReplication
  #onFrame: (frame: Frame) => void
  #end: () => void = () => undefined
  #fail: (error: unknown) => void = () => undefined

  constructor(text: string, request: StartReplication) {
    this.#text = text
    this.#request = request
    this.#onFrame = request.onFrame
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      this.#fail = reject
    })
    let start: () => void = () => undefined
    const began = new Promise<void>((resolve) => (start = resolve))
    this.handleStart = start
    this.started = Promise.race([began, this.ended])
    this.started.catch(() => undefined)
  }

  dropFrames(): void {
    this.#onFrame = () => undefined
  }

  submit(connection: Connection): void {
    connection.query(this.#text)
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }, connection: Connection): void {
    try {
      this.#onFrame(readFrame(chunk))
    } catch (error) {
      this.fail(error)
      connection.stream.destroy()
    }
  }

  /** From here on nothing more is handed over. */
  fail(error: unknown): void {
    this.dropFrames()
    this.#fail(error)
  }

  handleError(error: unknown): void {
    this.fail(tellsOfMissingPublication(error) ? publicationMissing(this.#request, error) : error)
  }

  handleCommandComplete(): void {
    // The copy's result; ReadyForQuery follows and ends the query.
  }

  handleReadyForQuery(): void {
    this.#end()
  }
}

function tellsOfMissingPublication(message: unknown): boolean {
  return (
    typeof message === 'object' && message !== null && 'routine' in message && PUBLICATION_ROUTINES.has(message.routine)
  )
}

/** The server reads the catalogue as it was where the slot stands: creating the publication now does not help. */
function publicationMissing({ slot, publication }: StartReplication, cause: unknown): ReplicationError {
  const drop = `SELECT pg_drop_replication_slot(${escapeLiteral(slot)})`
  const forget = `COMMENT ON PUBLICATION ${escapeIdentifier(publication)} IS NULL`
  return new ReplicationError(
    'publication',
    `the publication ${publication} did not exist when the next changes in the replication slot ${slot} were made; they ` +
      `cannot become events. To accept that and go on from now, create it and run: ${drop}; ${forget}`,
    { cause },
  )
}

function addressOf(server: PostgresServer): string {
  return `${server.host}:${server.port}/${server.database}`
}
