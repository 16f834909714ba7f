import { ZERO_LSN, type Lsn } from './change.ts'

/** One transaction, or one stretch of WAL without any change of interest; in the order of the log. */
interface Stretch {
  open: boolean
  /** Messages handed over and not acknowledged yet. */
  pending: number
  /** Where the log goes on after it; meaningless while it is open. */
  end: Lsn
  readonly startedAt: bigint
  next: Stretch | undefined
}

/** What {@link AcknowledgementTracker.track} gives: hand it back when the message is stored. */
export type Ticket = Stretch

/**
 * Knows which position may be confirmed to the server: the end of the newest commit of which, and before which, every message
 * is stored. Positions of keepalives count as stretches without messages, so that they too are confirmed only once everything
 * before them is stored; those that come inside a transaction count for nothing. The position never moves back.
 */
export class AcknowledgementTracker {
  #safe: Lsn
  #pending = 0
  #head: Stretch | undefined
  #tail: Stretch | undefined

  constructor(start: Lsn = ZERO_LSN) {
    this.#safe = start
  }

  /** What may be confirmed now. */
  get safe(): Lsn {
    return this.#safe
  }

  /** Messages that are not acknowledged yet. */
  get pending(): number {
    return this.#pending
  }

  /** The commit time of the oldest transaction that is not confirmable, in microseconds since 1970; undefined when all are. */
  get oldestCommitTime(): bigint | undefined {
    return this.#head?.startedAt
  }

  /** A transaction starts. */
  begin(commitTime: bigint): void {
    if (this.#tail?.open === true) throw new Error('a transaction began inside another')
    this.#append({ open: true, pending: 0, end: ZERO_LSN, startedAt: commitTime, next: undefined })
  }

  /** A message of the open transaction is handed over. */
  track(): Ticket {
    const transaction = this.#openTransaction()
    transaction.pending += 1
    this.#pending += 1
    return transaction
  }

  /** The message with this ticket is stored durably. */
  acknowledge(ticket: Ticket): void {
    if (ticket.pending === 0) throw new Error('a message was acknowledged twice')
    ticket.pending -= 1
    this.#pending -= 1
    if (ticket === this.#head) this.#advance()
  }

  /** The open transaction is complete; the log goes on at `end`. */
  commit(end: Lsn): void {
    const transaction = this.#openTransaction()
    transaction.open = false
    transaction.end = end
    if (transaction === this.#head) this.#advance()
  }

  /** The server has sent everything of interest up to here. */
  keepalive(walEnd: Lsn): void {
    if (this.#tail === undefined) this.#confirm(walEnd)
    else if (this.#tail.open) return
    else if (this.#tail.pending === 0) this.#tail.end = walEnd > this.#tail.end ? walEnd : this.#tail.end
    else this.#append({ open: false, pending: 0, end: walEnd, startedAt: this.#tail.startedAt, next: undefined })
  }

  #openTransaction(): Stretch {
    if (this.#tail === undefined || !this.#tail.open) throw new Error('no transaction is open')
    return this.#tail
  }

  #append(stretch: Stretch): void {
    if (this.#tail === undefined) this.#head = stretch
    else this.#tail.next = stretch
    this.#tail = stretch
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

/** How much may be read ahead of what is stored. */
export interface FlowLimits {
  readonly maxMessages: number
  /** Of the server's messages, as received. */
  readonly maxBytes: number
}

/** What is in flight, and whether to read on: not beyond a limit, and again once half of each is free. */
export class FlowControl {
  readonly #limits: FlowLimits
  #messages = 0
  #bytes = 0
  #paused = false

  constructor(limits: FlowLimits) {
    this.#limits = limits
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  get paused(): boolean {
    return this.#paused
  }

  /** A message is in flight. Returns true when reading has to pause now. */
  add(bytes: number): boolean {
    this.#messages += 1
    this.#bytes += bytes
    if (this.#paused || (this.#messages < this.#limits.maxMessages && this.#bytes < this.#limits.maxBytes)) return false
    this.#paused = true
    return true
  }

  /** A message is in flight no more. Returns true when reading may resume now. */
  remove(bytes: number): boolean {
    this.#messages -= 1
    this.#bytes -= bytes
    if (!this.#paused || this.#messages > this.#limits.maxMessages / 2 || this.#bytes > this.#limits.maxBytes / 2) {
      return false
    }
    this.#paused = false
    return true
  }
}

/**
 * What a silence means: `ask` for a sign of life after a third of the limit, `dead` after all of it. While reading is paused
 * nothing can be heard, so nothing follows.
 */
export function livenessOf(silentMs: number, limitMs: number, paused: boolean): 'alive' | 'ask' | 'dead' {
  if (paused || silentMs < limitMs / 3) return 'alive'
  return silentMs < limitMs ? 'ask' : 'dead'
}

/** Half a second at first with the default of ten, doubled each time, up to `maxMs`; a random part keeps instances apart. */
export function retryDelayMs(attempt: number, maxMs: number, random: () => number): number {
  const delay = Math.min(maxMs, (maxMs / 20) * 2 ** (attempt - 1))
  return Math.round(delay * (0.75 + random() / 4))
}
