import { ByteBudget, type BudgetLimits } from '../../domain/byte-budget.ts'
import { ZERO_LSN, type Lsn } from './change.ts'

/** One transaction, or a range of WAL without any captured change; linked in log order. */
interface WalSegment {
  open: boolean
  /** The number of messages that were passed on and are not acknowledged yet. */
  pending: number
  /** The position at its end; meaningless while it is open. */
  end: Lsn
  readonly startedAt: bigint
  next: WalSegment | undefined
}

/** Returned by {@link AcknowledgementTracker.track}; pass it to `acknowledge` when the message is stored. */
export type Ticket = WalSegment

/**
 * Computes the confirmable position: the end of the newest commit up to which every message is stored.
 * The position of a keepalive becomes a segment without messages, confirmed only after everything before it is stored; inside a
 * transaction keepalives are ignored. The position never moves back.
 */
export class AcknowledgementTracker {
  #safe: Lsn
  #head: WalSegment | undefined
  #tail: WalSegment | undefined

  constructor(start: Lsn = ZERO_LSN) {
    this.#safe = start
  }

  get safe(): Lsn {
    return this.#safe
  }

  /** Commit time of the oldest transaction that is not confirmable, in microseconds since 1970; undefined if all are confirmable. */
  get oldestCommitTime(): bigint | undefined {
    return this.#head?.startedAt
  }

  begin(commitTime: bigint): void {
    if (this.#tail?.open === true) throw new Error('a transaction began inside another')
    this.#append({ open: true, pending: 0, end: ZERO_LSN, startedAt: commitTime, next: undefined })
  }

  /** Records that a message of the open transaction is passed on. */
  track(): Ticket {
    const transaction = this.#openTransaction()
    transaction.pending += 1
    return transaction
  }

  /** Records that the message with this ticket is stored durably. */
  acknowledge(ticket: Ticket): void {
    if (ticket.pending === 0) throw new Error('a message was acknowledged twice')
    ticket.pending -= 1
    if (ticket === this.#head) this.#advance()
  }

  /** Records that the open transaction is complete; the log continues at `end`. */
  commit(end: Lsn): void {
    const transaction = this.#openTransaction()
    transaction.open = false
    transaction.end = end
    if (transaction === this.#head) this.#advance()
  }

  /** Records that the server has sent every captured change up to `walEnd`. */
  keepalive(walEnd: Lsn): void {
    if (this.#tail === undefined) this.#confirm(walEnd)
    else if (this.#tail.open) return
    else if (this.#tail.pending === 0) this.#tail.end = walEnd > this.#tail.end ? walEnd : this.#tail.end
    else this.#append({ open: false, pending: 0, end: walEnd, startedAt: this.#tail.startedAt, next: undefined })
  }

  #openTransaction(): WalSegment {
    if (this.#tail === undefined || !this.#tail.open) throw new Error('no transaction is open')
    return this.#tail
  }

  #append(segment: WalSegment): void {
    if (this.#tail === undefined) this.#head = segment
    else this.#tail.next = segment
    this.#tail = segment
  }

  #advance(): void {
    let head = this.#head
    while (head !== undefined && !head.open && head.pending === 0) {
      this.#confirm(head.end)
      head = head.next
    }
    this.#head = head
    if (head === undefined) this.#tail = undefined
  }

  #confirm(end: Lsn): void {
    if (end > this.#safe) this.#safe = end
  }
}

/** Counts messages in flight; determines when to pause reading (at a limit) and when to resume (at half of both limits). */
export class FlowControl {
  readonly #inFlight: ByteBudget
  #paused = false

  constructor(limits: BudgetLimits) {
    this.#inFlight = new ByteBudget(limits)
  }

  get messages(): number {
    return this.#inFlight.items
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Counts a message. Returns true when reading must pause now. */
  add(bytes: number): boolean {
    this.#inFlight.add(bytes)
    if (this.#paused || !this.#inFlight.isFull) return false
    this.#paused = true
    return true
  }

  /** Removes a message. Returns true when reading may resume now. */
  remove(bytes: number): boolean {
    this.#inFlight.remove(bytes)
    if (!this.#paused) return false
    const { limits, left } = this.#inFlight
    this.#paused = left.items < limits.items / 2 || left.bytes < limits.bytes / 2
    return !this.#paused
  }
}

/**
 * Classifies a silent server: `probe` (request a keepalive) after a third of the limit, `silent` after the whole limit; a limit of
 * 0 means none. While reading is paused nothing is received, so the silence has no significance.
 */
export function livenessOf(silentMs: number, limitMs: number, paused: boolean): 'alive' | 'probe' | 'silent' {
  if (paused || limitMs === 0 || silentMs < limitMs / 3) return 'alive'
  return silentMs < limitMs ? 'probe' : 'silent'
}
