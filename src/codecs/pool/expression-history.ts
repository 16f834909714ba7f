export type HistoryLimits = Readonly<
  Record<'slowMs' | 'slowShare' | 'maxSlowMs' | 'timeLimitMs' | 'failuresToQuarantine' | 'quarantineMs', number>
>

/** The expected duration of an expression that was not evaluated yet. */
const INITIAL_MS = 0.1

/** The time until which an expression does not run, and the failure that caused it. */
export interface Quarantine {
  /** In ms since 1970. */
  readonly until: number
  readonly reason: string
}

/** Durations and failures of one expression of one organization. */
export class ExpressionHistory {
  readonly #limits: HistoryLimits
  #isNew = true
  #lastMs = INITIAL_MS
  #expectedMs = INITIAL_MS
  #slowUntil = 0
  #failures = 0
  #quarantine: Quarantine = { until: 0, reason: '' }

  constructor(limits: HistoryLimits) {
    this.#limits = limits
  }

  /** The smaller one of the last two durations: a single measurement is not trusted. */
  get expectedMs(): number {
    return this.#expectedMs
  }

  /**
   * Returns whether the expression was evaluated and is not considered slow. Every slow evaluation extends the slow time in
   * proportion to its duration, so that an expression that is slow only sometimes takes at most `slowShare` of the quick lane.
   */
  isQuick(now: number): boolean {
    return !this.#isNew && this.#slowUntil <= now
  }

  /** Returns the quarantine; undefined if the expression is allowed to run. */
  quarantine(now: number): Quarantine | undefined {
    return this.#quarantine.until > now ? this.#quarantine : undefined
  }

  recordDuration(ms: number, now: number): void {
    this.#failures = 0
    this.#setDuration(ms)
    if (ms > this.#limits.slowMs) this.#addSlowTime(ms, now)
  }

  /** Records that a worker was lost during an evaluation, possibly because the machine was stalled. */
  recordLoss(now: number): void {
    this.#recordSlow(this.#limits.timeLimitMs, now)
  }

  /**
   * Records that a payload exceeded a limit, after `ms`. Enough consecutive failures quarantine the expression, and after a quarantine
   * a single one.
   */
  recordFailure(reason: string, now: number, ms = this.#limits.timeLimitMs): void {
    const { failuresToQuarantine, quarantineMs } = this.#limits
    this.#recordSlow(ms, now)
    this.#failures += 1
    if (this.#failures >= failuresToQuarantine) this.#quarantine = { until: now + quarantineMs, reason }
  }

  #recordSlow(ms: number, now: number): void {
    this.#setDuration(ms)
    this.#addSlowTime(ms, now)
  }

  #setDuration(ms: number): void {
    this.#isNew = false
    this.#expectedMs = Math.min(ms, this.#lastMs)
    this.#lastMs = ms
  }

  #addSlowTime(ms: number, now: number): void {
    const { slowShare, maxSlowMs } = this.#limits
    this.#slowUntil = Math.min(Math.max(now, this.#slowUntil) + ms / slowShare, now + maxSlowMs)
  }
}
