import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'pg'
import type { BudgetLimits } from '../../domain/byte-budget.ts'
import { ReplicationError } from '../../domain/errors.ts'
import type { Logger } from '../../runner/logger.ts'
import { clientConfig, type PostgresServer } from '../database.ts'
import { replicationErrorFrom } from '../errors.ts'
import { ChangeSession, type SessionOptions } from './change-session.ts'
import { startHeartbeat } from './heartbeat.ts'
import { type CapturedTable, formatLsn, ZERO_LSN, type Lsn } from './change.ts'
import { reportOf, retryDelayMs } from './retry.ts'
import { ensurePublication } from './publication.ts'
import { ReplicationConnection, type SystemIdentity } from './replication-connection.ts'
import { SlotStateStore } from './slot-state.ts'
import { checkServer, isWalSenderRunning, readSlot, type ServerSettings, type SlotState } from './slot.ts'
import { SlotPreparation } from './snapshot.ts'

export interface CaptureOptions {
  readonly server: PostgresServer
  readonly slot: string
  readonly publication: string
  readonly tables: readonly CapturedTable[]
  readonly onChange: SessionOptions['onChange']
  readonly confirm: SessionOptions['confirm']
  /** Delays grow up to `maxDelayMs`. After `maxAttempts` consecutive failures without progress, one error is logged for them all. */
  readonly retry: { readonly maxDelayMs: number; readonly maxAttempts: number }
  readonly logger: Logger
  /** `initial`: the rows that exist when the slot is created are passed first, as inserts. Default `never`. */
  readonly snapshot?: 'initial' | 'never'
  /** The interval of heartbeats while no change is captured; 0 means never. Default 30,000 ms. */
  readonly heartbeatMs?: number
  /** The limits of changes read and not stored, in bytes as received from PostgreSQL. Default 1,000 changes, 16 MiB. */
  readonly limits?: BudgetLimits
  /** The time for a graceful stop. Default 8,000 ms. */
  readonly shutdownTimeoutMs?: number
  /** The interval between attempts of a standby to take over. Default 500 ms. */
  readonly standbyPollMs?: number
}

/** `standby`: another instance streams from the slot; this instance takes over when it ends. `snapshot`: sends the existing rows. */
export type CaptureState = 'connecting' | 'standby' | 'snapshot' | 'streaming' | 'stopped'

const DEFAULTS = {
  snapshot: 'never' as const,
  heartbeatMs: 30_000,
  limits: { items: 1000, bytes: 16 * 1024 * 1024 },
  shutdownTimeoutMs: 8000,
  standbyPollMs: 500,
}
const MAX_STATUS_INTERVAL_MS = 10_000
const REQUEST_POLL_MS = 2000

/**
 * Captures the changes of tables until it is stopped. Creates a missing publication and slot, waits for a slot that is in use,
 * and tries again without end after a failure, also after one that only an operator can resolve.
 */
export class ChangeCapture {
  readonly #options: CaptureOptions & Required<Pick<CaptureOptions, keyof typeof DEFAULTS>>
  readonly #pool: Pool
  readonly #store: SlotStateStore
  #state: CaptureState = 'connecting'
  #session: ChangeSession | undefined
  #confirmable: Lsn = ZERO_LSN
  #system: SystemIdentity | undefined
  #streamingSinceMs: number | undefined
  #failures = 0
  #retries = 0
  #failure: ReplicationError | undefined

  constructor(options: CaptureOptions) {
    this.#options = { ...DEFAULTS, ...options }
    this.#pool = new Pool({ ...clientConfig(options.server), max: 1, connectionTimeoutMillis: 10_000 })
    // The next query replaces a broken idle connection, or reports the failure.
    this.#pool.on('error', () => undefined)
    this.#store = new SlotStateStore(this.#pool, options.slot)
  }

  get state(): CaptureState {
    return this.#state
  }

  /** The reason why nothing is captured. */
  get failure(): ReplicationError | undefined {
    return this.#state === 'connecting' ? this.#failure : undefined
  }

  /** Every change before this position is stored. */
  get confirmable(): Lsn {
    return this.#session?.confirmable ?? this.#confirmable
  }

  get inFlight(): number {
    return this.#session?.inFlight ?? 0
  }

  /** Commit time of the oldest transaction that is not completely stored; undefined if there is none. */
  get oldestCommitTime(): bigint | undefined {
    return this.#session?.oldestCommitTime
  }

  get retries(): number {
    return this.#retries
  }

  /** The time when the last heartbeat was received, in ms since 1970; undefined before the first. */
  get lastHeartbeatMs(): number | undefined {
    return this.#session?.lastHeartbeatMs
  }

  /** Returns the current state of the slot; null if it does not exist. Throws a ReplicationError. */
  slotState(): Promise<SlotState | null> {
    return readSlot(this.#pool, this.#options.slot)
  }

  /** Captures until the signal aborts; then waits until changes in flight are stored, confirms them, and resolves. */
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
      await this.#endSession(signal)
    } catch (error) {
      const streamedMs = Date.now() - (this.#streamingSinceMs ?? Date.now())
      const previous = this.#failure
      const failure = replicationErrorFrom(error, 'capture changes')
      this.#failure = failure
      this.#state = 'connecting'
      await this.#endSession(signal, failure)
      if (signal.aborted) return
      const progressed = this.confirmable > before || streamedMs > this.#options.retry.maxDelayMs
      await this.#afterFailure(failure, progressed ? undefined : previous, signal)
    }
  }

  /** Ends a session: changes in flight must be stored before they are sent again, to keep their order. */
  async #endSession(signal: AbortSignal, failure?: ReplicationError): Promise<void> {
    const inFlight = this.inFlight
    if (failure !== undefined && inFlight > 0) {
      const { code, message } = failure
      this.#options.logger.warn({ code, in_flight: inFlight }, `${message}; waiting until changes in flight are stored`)
    }
    await this.#session?.settled(signal)
    this.#confirmable = this.confirmable
    this.#session = undefined
  }

  /** Logs a failure and waits for the next attempt. `previous` is the failure before it without progress in between. */
  async #afterFailure(
    failure: ReplicationError,
    previous: ReplicationError | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { logger, retry } = this.#options
    this.#failures = previous === undefined ? 1 : this.#failures + 1
    this.#retries += 1
    const delayMs = retryDelayMs(this.#failures, retry.maxDelayMs, Math.random)
    const report = reportOf(failure, { ...retry, failures: this.#failures, previous })
    if (report !== null) {
      logger[report.level]({ code: failure.code, attempt: this.#failures, retry_in_ms: delayMs }, report.message)
    }
    await sleep(delayMs, undefined, { signal }).catch(() => undefined)
  }

  async #connectAndStream(signal: AbortSignal): Promise<void> {
    const { server, slot } = this.#options
    const settings = await checkServer(this.#pool)
    await this.#ensurePublication()
    const connection = await ReplicationConnection.open(server, `ponix-cdc ${slot}`, signal)
    try {
      this.#checkCluster(await connection.identifySystem())
      await this.#stream(connection, settings, signal)
    } finally {
      await connection.close()
    }
  }

  async #prepare(connection: ReplicationConnection, settings: ServerSettings, signal: AbortSignal): Promise<boolean> {
    const preparation = new SlotPreparation(this.#pool, connection, settings.version, {
      ...this.#options,
      onState: (state) => {
        this.#state = state
        if (state === 'standby') this.#failure = undefined
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
        'the publication contains tables that are not captured; skipping them',
      )
    }
  }

  async #stream(connection: ReplicationConnection, settings: ServerSettings, signal: AbortSignal): Promise<void> {
    const { walSenderTimeoutMs, version } = settings
    const { slot, confirm, heartbeatMs } = this.#options
    const pid = await connection.backendPid()
    const session = new ChangeSession({
      ...this.#options,
      from: this.#confirmable,
      confirm: { changes: confirm.changes, ms: statusIntervalMs(confirm.ms, walSenderTimeoutMs) },
      silenceLimitMs: walSenderTimeoutMs,
      isServing: () => isWalSenderRunning(this.#pool, pid),
      messages: version >= LOGICAL_MESSAGES_SINCE,
    })
    if (!(await this.#startWhenFree(session, connection, settings, signal))) return
    this.#session = session
    this.#state = 'streaming'
    this.#streamingSinceMs = Date.now()
    this.#options.logger.info({ slot, lsn: formatLsn(this.#confirmable) }, 'streaming changes')
    const heartbeat = startHeartbeat(this.#pool, slot, heartbeatMs, session)
    const ending = new AbortController()
    const end = (): void => ending.abort()
    void this.#untilSnapshotRequest(ending.signal).then(end)
    try {
      await session.run(AbortSignal.any([signal, ending.signal]))
    } finally {
      clearInterval(heartbeat)
      end()
    }
  }

  /** Resolves when a snapshot is due, or when the signal aborts. */
  async #untilSnapshotRequest(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(REQUEST_POLL_MS, undefined, { signal }).catch(() => undefined)
      // A failure is ignored here: the stream itself detects a lost server.
      const state = signal.aborted ? null : await this.#store.read().catch(() => null)
      if (state !== null && state.snapshot !== null) return
    }
  }

  /** Waits as a standby while another instance uses the slot. Returns false when the attempt has to start over. */
  async #startWhenFree(
    session: ChangeSession,
    connection: ReplicationConnection,
    settings: ServerSettings,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { slot, standbyPollMs, logger } = this.#options
    while (!signal.aborted) {
      // A snapshot may be requested while this instance waits.
      if (!(await this.#prepare(connection, settings, signal))) return false
      try {
        await session.start(connection)
        return true
      } catch (error) {
        if (!(error instanceof ReplicationError) || error.code !== 'slot_in_use') throw error
        if (this.#state !== 'standby') logger.info({ slot }, 'another instance uses the slot; waiting as standby')
        this.#state = 'standby'
        this.#failure = undefined
        await sleep(standbyPollMs, undefined, { signal }).catch(() => undefined)
      }
    }
    return false
  }

  /** Checks that the cluster is unchanged: a position is valid only in its cluster. */
  #checkCluster(system: SystemIdentity): void {
    const known = this.#system
    if (known === undefined || known.systemId === system.systemId) {
      if (known?.timeline !== system.timeline) this.#confirmable = ZERO_LSN
      this.#system = system
      return
    }
    const { host, port } = this.#options.server
    throw new ReplicationError(
      'other_cluster',
      `PostgreSQL at ${host}:${port} has the system identifier ${system.systemId}, previously ${known.systemId}: it is another ` +
        'cluster; restart to capture from it',
    )
  }
}

/** The version since which pgoutput can send logical messages. */
const LOGICAL_MESSAGES_SINCE = 140_000

/** Returns an interval that is short enough to avoid the server's timeout for receivers. */
function statusIntervalMs(confirmMs: number, walSenderTimeoutMs: number): number {
  const timeout = walSenderTimeoutMs > 0 ? walSenderTimeoutMs / 3 : MAX_STATUS_INTERVAL_MS
  return Math.max(1, Math.min(confirmMs, timeout, MAX_STATUS_INTERVAL_MS))
}
