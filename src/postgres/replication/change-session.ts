import { ReplicationError } from '../../domain/errors.ts'
import {
  qualifiedName,
  type CapturedTable,
  type Change,
  type Transaction,
  type Lsn,
  type PgoutputMessage,
} from './change.ts'
import { AcknowledgementTracker, type Ticket, FlowControl, livenessOf, type FlowLimits } from './flow-control.ts'
import { PgoutputParser } from './pgoutput-parser.ts'
import type { Queryable } from './publication.ts'
import type { ReplicationConnection } from './replication-connection.ts'
import type { Frame, ReplicationStream } from './replication-stream.ts'

export interface SessionOptions {
  readonly slot: string
  readonly publication: string
  readonly tables: readonly CapturedTable[]
  readonly from: Lsn
  /**
   * Takes one change, at once; called in commit order. The promise resolves when the change is stored durably; undefined means
   * that there is nothing to store. A rejection ends the session, and nothing from that change on is confirmed.
   */
  readonly onChange: (change: Change) => Promise<void> | undefined
  readonly limits: FlowLimits
  /** The position is confirmed after so many stored changes, or after so long. */
  readonly confirm: { readonly changes: number; readonly ms: number }
  /** How long a graceful end waits for what is in flight. */
  readonly shutdownTimeoutMs: number
  /** A server that says nothing for so long, even when asked, is gone. */
  readonly silenceLimitMs: number
  /** Whether the server can pass logical messages on. */
  readonly messages: boolean
}

const HANDSHAKE_TIMEOUT_MS = 2000
const REPLY_SPACING_MS = 10
const TRANSACTION_GRACE_MS = 500

/**
 * One stream of changes over one connection, from its start to its end. Whatever its end, `settled` tells when nothing is in
 * flight any more, and `confirmable` what is stored for sure.
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
  #deaf = false
  #lastHeardMs = Date.now()
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
    const unread = new Set(options.tables.filter((table) => table.wantsOldOnUpdate === false).map(qualifiedName))
    this.#parser = new PgoutputParser({
      wantsOldOnUpdate: (schema, table) => !unread.has(qualifiedName({ schema, table })),
    })
    this.#failed = new Promise((_resolve, reject) => (this.#fail = reject))
    this.#failed.catch(() => undefined)
  }

  /** Everything before it is stored. */
  get confirmable(): Lsn {
    return this.#tracker.safe
  }

  get inFlight(): number {
    return this.#flow.messages
  }

  /** Commit time of the oldest transaction that is not stored completely; undefined when there is none. */
  get oldestCommitTime(): bigint | undefined {
    return this.#tracker.oldestCommitTime
  }

  /** It stands still while nothing that is published is written. */
  get changesRead(): number {
    return this.#changesRead
  }

  /** When the last heartbeat came through, in ms since 1970. */
  get lastHeartbeatMs(): number | undefined {
    return this.#lastHeartbeatMs
  }

  /** Starts the stream; changes may come before it resolves. Throws a ReplicationError: `slot_in_use`, `slot_lost` … */
  async start(connection: ReplicationConnection): Promise<void> {
    const { slot, publication, from, messages } = this.#options
    this.#stream = await connection.start({
      slot,
      publication,
      from,
      messages,
      onFrame: (frame) => this.#onFrame(frame),
    })
    this.#lastHeardMs = Date.now()
    if (this.#flow.paused) this.#stream.pause()
  }

  /**
   * Runs until the signal aborts; then stops reading, waits for what is in flight, confirms and resolves. Throws a
   * ReplicationError when the stream breaks or a change is refused.
   */
  async run(signal: AbortSignal): Promise<void> {
    const stream = this.#stream
    if (stream === undefined) throw new Error('the session was not started')
    const timer = setInterval(() => this.#onTimer(), this.#options.confirm.ms)
    const over = new AbortController()
    try {
      await Promise.race([this.#failed, endOf(stream), abortOf(signal, over.signal)])
      await this.#endOfTransaction()
      this.#deaf = true
      stream.pause()
      await this.settled(AbortSignal.timeout(this.#options.shutdownTimeoutMs))
      await stream.finish(this.confirmable, HANDSHAKE_TIMEOUT_MS)
    } finally {
      this.#deaf = true
      over.abort()
      clearInterval(timer)
      clearTimeout(this.#replyTimer)
    }
  }

  /** A short transaction is read to its end, so that it can be confirmed and does not come again. */
  async #endOfTransaction(): Promise<void> {
    if (this.#transaction === undefined || this.#flow.paused) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, TRANSACTION_GRACE_MS)
      this.#onCommit = () => {
        clearTimeout(timer)
        this.#deaf = true
        resolve()
      }
    })
  }

  /** Resolves when nothing is in flight, or when the signal aborts. */
  async settled(signal: AbortSignal): Promise<void> {
    if (this.#flow.messages === 0) return
    const over = new AbortController()
    const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve))
    await Promise.race([idle, abortOf(signal, over.signal)])
    over.abort()
  }

  #onFrame(frame: Frame): void {
    if (this.#deaf) return
    this.#lastHeardMs = Date.now()
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
      case 'type':
      case 'origin':
    }
  }

  #onChange(operation: Change['operation'], row: Pick<Change, 'relation' | 'old' | 'new'>, bytes: number): void {
    const transaction = this.#transaction
    if (transaction === undefined) throw new ReplicationError('protocol', 'a change came outside of a transaction')
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

  /** Its ticket stays open, so nothing from here on can be confirmed. */
  #onRefused(change: Change, bytes: number, error: unknown): void {
    const { relation, operation, transaction, index } = change
    const what = `${operation} ${index} of transaction ${transaction.xid} on ${qualifiedName(relation)}`
    const reason = error instanceof Error ? error.message : String(error)
    this.#deaf = true
    this.#fail(new ReplicationError('sink', `the ${what} could not be stored: ${reason}`, { cause: error }))
    this.#release(bytes)
  }

  #release(bytes: number): void {
    if (this.#flow.remove(bytes) && !this.#deaf) {
      this.#lastHeardMs = Date.now()
      this.#stream?.resume()
    }
    if (this.#flow.messages > 0) return
    const waiting = this.#whenIdle
    this.#whenIdle = []
    for (const wake of waiting) wake()
  }

  #onTimer(): void {
    const { silenceLimitMs } = this.#options
    const liveness = livenessOf(Date.now() - this.#lastHeardMs, silenceLimitMs, this.#flow.paused)
    if (liveness === 'dead') {
      const seconds = Math.round(silenceLimitMs / 1000)
      this.#fail(new ReplicationError('connection', `PostgreSQL has said nothing for ${seconds} s, though asked`))
    }
    this.#confirm(liveness === 'ask')
  }

  /**
   * At once; but a server that shuts down asks again after every answer until it hears of its last position, and would be
   * answered in a busy loop while that is not stored yet.
   */
  #reply(): void {
    const isNews = this.confirmable !== this.#lastConfirmed
    if (isNews || Date.now() - this.#lastStatusMs >= REPLY_SPACING_MS) return this.#confirm()
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
  throw new ReplicationError('connection', 'PostgreSQL has ended the stream of changes')
}

/** Resolves when `signal` aborts; lets go of it when `over` does. */
function abortOf(signal: AbortSignal, over: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true, signal: over }))
}

/** What marks the heartbeats of a slot among the log's messages. */
function heartbeatPrefix(slot: string): string {
  return `ponix-cdc ${slot}`
}

/**
 * Writes a sign of life into the log from time to time while nothing that is published is written. It comes back through the
 * slot as a transaction, which is confirmed: so the slot moves on, and it shows that the whole way is open.
 */
export class Heartbeat {
  readonly #timer: NodeJS.Timeout | undefined

  /** Beats every `intervalMs` until it is stopped; 0: never. */
  constructor(database: Queryable, slot: string, intervalMs: number, stream: { readonly changesRead: number }) {
    if (intervalMs === 0) return
    let before = stream.changesRead
    this.#timer = setInterval(() => {
      const isIdle = stream.changesRead === before
      before = stream.changesRead
      // A failure needs no answer here: the stream itself tells when the server is away.
      if (isIdle)
        database.query(`SELECT pg_logical_emit_message(true, $1, '')`, [heartbeatPrefix(slot)]).catch(() => {})
    }, intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
