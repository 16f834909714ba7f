import type { BudgetLimits } from '../../domain/byte-budget.ts'
import { ReplicationError, messageOf } from '../../domain/errors.ts'
import { withSignal } from '../../runner/startup.ts'
import { qualifiedName, type CapturedTable, type Change, type Transaction, type Lsn } from './change.ts'
import { AcknowledgementTracker, type Ticket, FlowControl, livenessOf } from './flow-control.ts'
import { heartbeatPrefix } from './heartbeat.ts'
import { PgoutputParser, type PgoutputMessage } from './pgoutput-parser.ts'
import type { ReplicationConnection } from './replication-connection.ts'
import type { Frame, ReplicationStream } from './replication-stream.ts'
import { timeoutSignal } from '../../runner/timeout-signal.ts'

export interface SessionOptions {
  readonly slot: string
  readonly publication: string
  readonly tables: readonly CapturedTable[]
  readonly from: Lsn
  /**
   * Called with each change in commit order; must not block. The promise resolves when the change is stored durably; undefined
   * means that there is nothing to store. A rejection ends the session, and neither this change nor a later one is confirmed.
   */
  readonly onChange: (change: Change) => Promise<void> | undefined
  readonly limits: BudgetLimits
  /** The position is confirmed after this many stored changes, or after this time. */
  readonly confirm: { readonly changes: number; readonly ms: number }
  /** The maximum wait of a graceful stop for changes in flight. */
  readonly shutdownTimeoutMs: number
  /** The time without a message, not even a requested keepalive, after which `isServing` is called; 0 means never. */
  readonly silenceLimitMs: number
  /** Returns whether the walsender still exists: it is silent while it decodes a large transaction. */
  readonly isServing: () => Promise<boolean>
  readonly messages: boolean
}

const HANDSHAKE_TIMEOUT_MS = 2000
const REPLY_SPACING_MS = 10
const SERVER_CHECK_TIMEOUT_MS = 10_000
const TRANSACTION_GRACE_MS = 500

/**
 * One stream of changes over one connection, from its start to its end. Even after a failure, `settled` resolves when nothing is
 * in flight, and `confirmable` is the position up to which everything is stored.
 */
export class ChangeSession {
  readonly #options: SessionOptions
  readonly #parser: PgoutputParser
  readonly #tracker: AcknowledgementTracker
  readonly #flow: FlowControl
  readonly #failed: Promise<never>
  #fail: (error: ReplicationError) => void = () => undefined
  #stream: ReplicationStream | undefined
  #transaction: Transaction | undefined
  #index = 0
  #ignoreFrames = false
  #lastReceivedMs = Date.now()
  #lastHeartbeatMs: number | undefined
  #changesRead = 0
  #storedSinceStatus = 0
  #lastConfirmed: Lsn | undefined
  #lastStatusMs = 0
  #replyTimer: NodeJS.Timeout | undefined
  #whenIdle: (() => void)[] = []
  #onCommit: (() => void) | undefined

  constructor(options: SessionOptions) {
    this.#options = options
    this.#tracker = new AcknowledgementTracker(options.from)
    this.#flow = new FlowControl(options.limits)
    const withoutOld = new Set(options.tables.filter((table) => table.wantsOldOnUpdate === false).map(qualifiedName))
    this.#parser = new PgoutputParser((relation) => !withoutOld.has(qualifiedName(relation)))
    this.#failed = new Promise((_resolve, reject) => (this.#fail = reject))
    this.#failed.catch(() => undefined)
  }

  /** Every change before this position is stored. */
  get confirmable(): Lsn {
    return this.#tracker.safe
  }

  get inFlight(): number {
    return this.#flow.messages
  }

  /** Commit time of the oldest transaction that is not completely stored; undefined if there is none. */
  get oldestCommitTime(): bigint | undefined {
    return this.#tracker.oldestCommitTime
  }

  get changesRead(): number {
    return this.#changesRead
  }

  /** The time when the last heartbeat was received, in ms since 1970. */
  get lastHeartbeatMs(): number | undefined {
    return this.#lastHeartbeatMs
  }

  /** Starts the stream; changes can arrive before it resolves. Throws a ReplicationError: `slot_in_use`, `slot_lost` … */
  async start(connection: ReplicationConnection): Promise<void> {
    const { slot, publication, from, messages } = this.#options
    const onFrame = (frame: Frame): void => this.#onFrame(frame)
    this.#stream = await connection.start({ slot, publication, from, messages, onFrame })
    this.#lastReceivedMs = Date.now()
    if (this.#flow.paused) this.#stream.pause()
  }

  /**
   * Runs until the signal aborts; then stops reading, waits for changes in flight, confirms and resolves. Throws a
   * ReplicationError if the stream breaks or a change is rejected.
   */
  async run(signal: AbortSignal): Promise<void> {
    const stream = this.#stream
    if (stream === undefined) throw new Error('the session was not started')
    const timer = setInterval(() => this.#onTimer(), this.#options.confirm.ms)
    const finished = new AbortController()
    try {
      await Promise.race([this.#failed, endOf(stream), abortOf(signal, finished.signal)])
      await this.#finishTransaction()
      this.#ignoreFrames = true
      stream.pause()
      await this.settled(timeoutSignal(this.#options.shutdownTimeoutMs))
      await stream.finish(this.confirmable, HANDSHAKE_TIMEOUT_MS)
    } finally {
      this.#ignoreFrames = true
      finished.abort()
      clearInterval(timer)
      clearTimeout(this.#replyTimer)
    }
  }

  /** Reads a short transaction to its end, so that it can be confirmed and is not sent again. */
  async #finishTransaction(): Promise<void> {
    if (this.#transaction === undefined || this.#flow.paused) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, TRANSACTION_GRACE_MS)
      this.#onCommit = () => {
        clearTimeout(timer)
        this.#ignoreFrames = true
        resolve()
      }
    })
  }

  async settled(signal: AbortSignal): Promise<void> {
    if (this.#flow.messages === 0) return
    const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve))
    await withSignal(signal, idle).catch(() => undefined)
  }

  #onFrame(frame: Frame): void {
    if (this.#ignoreFrames) return
    this.#lastReceivedMs = Date.now()
    if (frame.kind === 'data') return this.#onMessage(this.#parser.parse(frame.payload), frame.payload.length)
    this.#tracker.keepalive(frame.walEnd)
    if (frame.replyRequested) this.#reply()
  }

  #onMessage(message: PgoutputMessage, bytes: number): void {
    switch (message.kind) {
      case 'begin': {
        const { xid, commitLsn, commitTime } = message
        this.#transaction = { xid, commitLsn, commitTime }
        this.#index = 0
        return this.#tracker.begin(commitTime)
      }
      case 'commit':
        this.#transaction = undefined
        this.#tracker.commit(message.endLsn)
        return this.#onCommit?.()
      case 'insert':
      case 'update':
      case 'delete':
        return this.#onChange(message.kind, message, bytes)
      case 'truncate':
        for (const relation of message.relations) this.#onChange('truncate', { relation, old: null, new: null }, bytes)
        return
      case 'message':
        if (message.prefix === heartbeatPrefix(this.#options.slot)) this.#lastHeartbeatMs = Date.now()
        return
      case 'relation':
      case 'other':
    }
  }

  #onChange(operation: Change['operation'], row: Pick<Change, 'relation' | 'old' | 'new'>, bytes: number): void {
    const transaction = this.#transaction
    if (transaction === undefined) {
      throw new ReplicationError('protocol', 'PostgreSQL sent a change outside of a transaction')
    }
    const index = this.#index
    this.#index += 1
    this.#changesRead += 1
    const change: Change = { operation, relation: row.relation, old: row.old, new: row.new, transaction, index }
    const stored = this.#options.onChange(change)
    if (stored === undefined) return
    const ticket = this.#tracker.track()
    if (this.#flow.add(bytes)) this.#stream?.pause()
    stored.then(
      () => this.#onStored(ticket, bytes),
      (error: unknown) => this.#onRefused(change, bytes, error),
    )
  }

  #onStored(ticket: Ticket, bytes: number): void {
    const before = this.#tracker.safe
    this.#tracker.acknowledge(ticket)
    this.#storedSinceStatus += 1
    if (this.#tracker.safe > before && this.#storedSinceStatus >= this.#options.confirm.changes) this.#confirm()
    this.#release(bytes)
  }

  /** Fails the session. The ticket stays open, so neither this change nor a later one can be confirmed. */
  #onRefused(change: Change, bytes: number, error: unknown): void {
    const { relation, operation, transaction, index } = change
    const name = `${operation} ${index} of transaction ${transaction.xid} on ${qualifiedName(relation)}`
    this.#ignoreFrames = true
    this.#fail(new ReplicationError('sink', `could not store the ${name}: ${messageOf(error)}`, { cause: error }))
    this.#release(bytes)
  }

  #release(bytes: number): void {
    if (this.#flow.remove(bytes) && !this.#ignoreFrames) {
      this.#lastReceivedMs = Date.now()
      this.#stream?.resume()
    }
    if (this.#flow.messages > 0) return
    const waiting = this.#whenIdle
    this.#whenIdle = []
    for (const wake of waiting) wake()
  }

  #onTimer(): void {
    const { silenceLimitMs } = this.#options
    const liveness = livenessOf(Date.now() - this.#lastReceivedMs, silenceLimitMs, this.#flow.paused)
    if (liveness === 'silent') void this.#checkServer()
    this.#confirm(liveness === 'probe')
  }

  async #checkServer(): Promise<void> {
    const { silenceLimitMs, isServing } = this.#options
    // Restarts the measurement, so that one check runs per limit.
    this.#lastReceivedMs = Date.now()
    if (await withSignal(timeoutSignal(SERVER_CHECK_TIMEOUT_MS), isServing()).catch(() => false)) return
    const seconds = Math.round(silenceLimitMs / 1000)
    const message = `PostgreSQL sent nothing for ${seconds} s (wal_sender_timeout), and its walsender is gone or cannot be checked`
    this.#fail(new ReplicationError('connection', message))
  }

  /**
   * Replies immediately when the position has changed. A server that shuts down repeats its request after every reply until its
   * last position is confirmed, so repeated replies are delayed: otherwise both would loop while the position is not stored.
   */
  #reply(): void {
    const hasMoved = this.confirmable !== this.#lastConfirmed
    if (hasMoved || Date.now() - this.#lastStatusMs >= REPLY_SPACING_MS) return this.#confirm()
    this.#replyTimer ??= setTimeout(() => {
      this.#replyTimer = undefined
      this.#confirm()
    }, REPLY_SPACING_MS)
  }

  #confirm(replyRequested = false): void {
    this.#storedSinceStatus = 0
    this.#lastConfirmed = this.confirmable
    this.#lastStatusMs = Date.now()
    this.#stream?.confirm(this.#lastConfirmed, replyRequested)
  }
}

async function endOf(stream: ReplicationStream): Promise<never> {
  await stream.ended
  throw new ReplicationError('connection', 'PostgreSQL ended the stream of changes')
}

/** Resolves when `signal` aborts; removes its listener when `finished` aborts. */
function abortOf(signal: AbortSignal, finished: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true, signal: finished }))
}
