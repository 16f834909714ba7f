import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import { ReplicationError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { replicationErrorFrom } from '../errors.ts'
import { ChangeSession, type SessionOptions, Heartbeat } from './change-session.ts'
import { type CapturedTable, formatLsn, ZERO_LSN, type Lsn } from './change.ts'
import { retryDelayMs, type FlowLimits } from './flow-control.ts'
import { ensurePublication } from './publication.ts'
import { ReplicationConnection, type PostgresServer, type SystemIdentity } from './replication-connection.ts'
import { checkServer, readSlot, type ServerSettings, type SlotState } from './slot.ts'
import { SlotPreparation } from './snapshot.ts'

export interface CaptureOptions {
  readonly server: PostgresServer
  readonly slot: string
  readonly publication: string
  readonly tables: readonly CapturedTable[]
  readonly onChange: SessionOptions['onChange']
  readonly confirm: SessionOptions['confirm']
  /** After `maxAttempts` failures in a row without progress capturing gives up. Delays grow up to `maxDelayMs`. */
  readonly retry: { readonly maxDelayMs: number; readonly maxAttempts: number }
  readonly logger: Logger
  /** `initial`: the rows that are there when the slot is made are handed over first, as inserts. Default `never`. */
  readonly snapshot?: 'initial' | 'never'
  /** How often a sign of life goes through the log while nothing else does; 0: never. Default 30,000 ms. */
  readonly heartbeatMs?: number
  /** Default 1,000 messages, 16 MiB. */
  readonly limits?: FlowLimits
  /** Default 8,000 ms. */
  readonly shutdownTimeoutMs?: number
  /** How often a standby tries to take over. Default 500 ms. */
  readonly standbyPollMs?: number
}

/**
 * `standby`: another instance streams from the slot; this one takes over when that one ends. `snapshot`: existing rows are
 * handed over, the stream follows.
 */
export type CaptureState = 'connecting' | 'standby' | 'snapshot' | 'streaming' | 'stopped'

const DEFAULT_LIMITS: FlowLimits = { maxMessages: 1000, maxBytes: 16 * 1024 * 1024 }
const SILENCE_LIMIT_MS = 60_000
const DEFAULT_HEARTBEAT_MS = 30_000
const DEFAULT_STANDBY_POLL_MS = 500
const SNAPSHOT_CHUNK_ROWS = 1000
const MAX_STATUS_INTERVAL_MS = 10_000

/**
 * Captures the changes of tables for as long as it runs, over as many connections as that takes. The publication and the slot
 * are created when they are missing; a slot that is in use is waited for; a connection that breaks is made again.
 */
export class ChangeCapture {
  readonly #options: CaptureOptions
  readonly #pool: Pool
  #state: CaptureState = 'connecting'
  #session: ChangeSession | undefined
  #confirmable: Lsn = ZERO_LSN
  #system: SystemIdentity | undefined
  #streamingSinceMs: number | undefined
  #failures = 0
  #retries = 0

  constructor(options: CaptureOptions) {
    this.#options = options
    const { host, port, database, username, password } = options.server
    this.#pool = new Pool({ host, port, database, user: username, password, max: 1, connectionTimeoutMillis: 10_000 })
    // A broken idle connection is replaced at the next query, which tells if that fails.
    this.#pool.on('error', () => undefined)
  }

  get state(): CaptureState {
    return this.#state
  }

  /** Everything before it is stored. */
  get confirmable(): Lsn {
    return this.#session?.confirmable ?? this.#confirmable
  }

  /** Changes handed over and not stored yet. */
  get inFlight(): number {
    return this.#session?.inFlight ?? 0
  }

  /** Commit time of the oldest transaction that is not stored completely; undefined when there is none. */
  get oldestCommitTime(): bigint | undefined {
    return this.#session?.oldestCommitTime
  }

  /** How many times a connection had to be made again. */
  get retries(): number {
    return this.#retries
  }

  /** When the last sign of life came through the log, in ms since 1970; undefined before the first. */
  get lastHeartbeatMs(): number | undefined {
    return this.#session?.lastHeartbeatMs
  }

  /** The slot as the server sees it now; null when there is none. Throws a ReplicationError. */
  slotState(): Promise<SlotState | null> {
    return readSlot(this.#pool, this.#options.slot)
  }

  /**
   * Captures until the signal aborts; then stores and confirms what was read, and resolves. Throws a ReplicationError for what
   * only a person can change, and after too many failures in a row.
   */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) await this.#attempt(signal)
    } finally {
      this.#state = 'stopped'
      await this.#pool.end()
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const before = this.confirmable
    this.#streamingSinceMs = undefined
    try {
      await this.#connectAndStream(signal)
      await this.#leaveSession(signal)
    } catch (error) {
      const lastedMs = Date.now() - (this.#streamingSinceMs ?? Date.now())
      this.#state = 'connecting'
      const failure = replicationErrorFrom(error, 'capture changes')
      await this.#leaveSession(signal, failure)
      if (signal.aborted) return
      const progressed = this.confirmable > before || lastedMs > this.#options.retry.maxDelayMs
      await this.#afterFailure(failure, progressed, signal)
    }
  }

  /** What is in flight has to be stored before it can come again, or the order would break. */
  async #leaveSession(signal: AbortSignal, failure?: ReplicationError): Promise<void> {
    const inFlight = this.inFlight
    if (failure !== undefined && inFlight > 0) {
      const { code, message } = failure
      this.#options.logger.warn({ code, in_flight: inFlight }, `${message}; waiting until what is in flight is stored`)
    }
    await this.#session?.settled(signal)
    this.#confirmable = this.confirmable
    this.#session = undefined
  }

  async #afterFailure(failure: ReplicationError, progressed: boolean, signal: AbortSignal): Promise<void> {
    const { logger, retry } = this.#options
    this.#failures = progressed ? 1 : this.#failures + 1
    if (!failure.retryable) throw failure
    if (this.#failures > retry.maxAttempts) {
      throw new ReplicationError(
        failure.code,
        `gave up after ${retry.maxAttempts} attempts in a row: ${failure.message}`,
        {
          cause: failure,
        },
      )
    }
    this.#retries += 1
    const delayMs = retryDelayMs(this.#failures, retry.maxDelayMs, Math.random)
    logger.warn({ code: failure.code, attempt: this.#failures, retry_in_ms: delayMs }, failure.message)
    await sleep(delayMs, undefined, { signal }).catch(() => undefined)
  }

  async #connectAndStream(signal: AbortSignal): Promise<void> {
    const { server, slot } = this.#options
    const settings = await checkServer(this.#pool)
    await this.#ensurePublication()
    const connection = await ReplicationConnection.open(server, `ponix-cdc ${slot}`, signal)
    try {
      await this.#checkCluster(await connection.identifySystem())
      if (await this.#prepare(connection, settings, signal)) await this.#stream(connection, settings, signal)
    } finally {
      await connection.close()
    }
  }

  async #prepare(connection: ReplicationConnection, settings: ServerSettings, signal: AbortSignal): Promise<boolean> {
    const { snapshot = 'never', standbyPollMs = DEFAULT_STANDBY_POLL_MS } = this.#options
    const preparation = new SlotPreparation(this.#pool, connection, settings.version, {
      ...this.#options,
      snapshot,
      standbyPollMs,
      chunkRows: SNAPSHOT_CHUNK_ROWS,
      onState: (state) => {
        this.#state = state
        if (state === 'standby') this.#failures = 0
      },
    })
    return await preparation.prepare(signal)
  }

  async #ensurePublication(): Promise<void> {
    const { publication, tables, logger } = this.#options
    const { created, added, others } = await ensurePublication(this.#pool, publication, tables)
    if (created) logger.info({ publication, tables: added }, 'created the publication')
    else if (added.length > 0) logger.info({ publication, tables: added }, 'added tables to the publication')
    if (others.length > 0) {
      logger.warn(
        { publication, tables: others },
        'the publication carries tables that nobody captures; they are skipped',
      )
    }
  }

  async #stream(connection: ReplicationConnection, settings: ServerSettings, signal: AbortSignal): Promise<void> {
    const { walSenderTimeoutMs, version } = settings
    const { slot, publication, tables, onChange, confirm, limits, shutdownTimeoutMs } = this.#options
    const session = new ChangeSession({
      slot,
      publication,
      tables,
      onChange,
      from: this.#confirmable,
      limits: limits ?? DEFAULT_LIMITS,
      confirm: { changes: confirm.changes, ms: statusIntervalMs(confirm.ms, walSenderTimeoutMs) },
      shutdownTimeoutMs: shutdownTimeoutMs ?? 8000,
      silenceLimitMs: SILENCE_LIMIT_MS,
      messages: version >= LOGICAL_MESSAGES_SINCE,
    })
    if (!(await this.#startWhenFree(session, connection, signal))) return
    this.#session = session
    this.#state = 'streaming'
    this.#streamingSinceMs = Date.now()
    this.#options.logger.info({ slot, lsn: formatLsn(this.#confirmable) }, 'streaming changes')
    const heartbeat = new Heartbeat(this.#pool, slot, this.#options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS, session)
    try {
      await session.run(signal)
    } finally {
      heartbeat.stop()
    }
  }

  /** Waits as a standby while another instance has the slot. Returns false when the signal aborted. */
  async #startWhenFree(
    session: ChangeSession,
    connection: ReplicationConnection,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { slot, standbyPollMs = DEFAULT_STANDBY_POLL_MS, logger } = this.#options
    while (!signal.aborted) {
      try {
        await session.start(connection)
        return true
      } catch (error) {
        if (!(error instanceof ReplicationError) || error.code !== 'slot_in_use') throw error
        if (this.#state !== 'standby') logger.info({ slot }, 'another instance has the slot; waiting as its standby')
        this.#state = 'standby'
        this.#failures = 0
        await sleep(standbyPollMs, undefined, { signal }).catch(() => undefined)
      }
    }
    return false
  }

  /** A position means something only in the cluster it came from. */
  async #checkCluster(system: SystemIdentity): Promise<void> {
    const known = this.#system
    this.#system = system
    if (known === undefined || known.systemId === system.systemId) {
      if (known?.timeline !== system.timeline) this.#confirmable = ZERO_LSN
      return
    }
    throw new ReplicationError(
      'other_cluster',
      `PostgreSQL at ${this.#options.server.host}:${this.#options.server.port} is another cluster than before ` +
        `(${known.systemId} became ${system.systemId}); restart to capture from it`,
    )
  }
}

/** Since then pgoutput passes logical messages on. */
const LOGICAL_MESSAGES_SINCE = 140_000

/** Often enough that the server does not think its reader dead. */
function statusIntervalMs(confirmMs: number, walSenderTimeoutMs: number): number {
  const timeout = walSenderTimeoutMs > 0 ? walSenderTimeoutMs / 3 : MAX_STATUS_INTERVAL_MS
  return Math.max(1, Math.min(confirmMs, timeout, MAX_STATUS_INTERVAL_MS))
}
