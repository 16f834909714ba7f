import type { Gateway } from '../entities.ts'
import { GatewayConfigError, GatewayNotOwned, messageOf } from '../errors.ts'
import type { BrokerAddress } from '../gateway-topics/subscription.ts'
import { configFingerprint } from './reconcile.ts'
import { Refusals, type RefusalCounts, type RefusalReason } from './refusals.ts'
import { isFailing, retryDelayMs, type RetryPolicy } from './retry.ts'

/** The context of a runner, which runs until the signal aborts. If it resolves earlier or rejects, it has failed. */
export interface GatewayRun {
  readonly gateway: Gateway
  readonly signal: AbortSignal
  /**
   * Throws GatewayNotOwned if the run has ended or another instance may run the gateway; then the runner must neither publish nor connect.
   * After the signal has aborted, it may still publish what it has received.
   */
  readonly assertOwned: () => void
  /** Aborts when another instance may run the gateway: the runner ends without finishing the messages in flight. */
  readonly forfeited: AbortSignal
  /** After the signal has aborted: the gateway whose run follows, null if it is removed, undefined if the same gateway runs again later. */
  readonly successor: () => Gateway | null | undefined
  /** Reports that the runner is connected, to a broker at this address; resets the count of consecutive failures. */
  readonly succeeded: (broker?: BrokerAddress) => void
  /** Reports that the runner lost its connection and reconnects by itself. */
  readonly interrupted: (reason: string) => void
  /** Reports that a message of this gateway was handled. */
  readonly received: () => void
  /** Reports an event that is not a message of a device; there are few kinds. */
  readonly observed: (kind: string) => void
  /** Reports that a message cannot be an envelope. */
  readonly refused: (reason: RefusalReason, error: string) => void
}

/** Serves one gateway; selected by the gateway's type. */
export type GatewayRunner = (run: GatewayRun) => Promise<void>

/**
 * starting → running ⇄ interrupted; any of them → retrying → starting; after too many failures retrying → failing → running; any →
 * failed or stopped, which are final. A failing gateway is retried, too.
 */
export type GatewayProcessState = 'starting' | 'running' | 'interrupted' | 'retrying' | 'failing' | 'failed' | 'stopped'

export interface GatewayProcessStatus {
  readonly state: GatewayProcessState
  /** The begin of the state. */
  readonly sinceMs: number
  readonly startedAtMs: number
  readonly failures: number
  readonly lastError: string | null
  /** The last broker to which the gateway was connected since its start. */
  readonly connectedTo: BrokerAddress | null
  readonly messages: number
  /** The events that are not messages of devices, by kind. */
  readonly events: Readonly<Record<string, number>>
  /** The messages that cannot be envelopes. */
  readonly refused: RefusalCounts
}

export type GatewayProcessEvent =
  | { readonly type: 'running' }
  | { readonly type: 'interrupted'; readonly reason: string }
  | { readonly type: 'retrying'; readonly reason: string; readonly attempt: number; readonly waitMs: number }
  /** Reported once, however many attempts follow. */
  | { readonly type: 'failing'; readonly reason: string; readonly attempt: number }
  | { readonly type: 'failed'; readonly reason: string }
  /** Messages that cannot be envelopes, the last one for this reason; `count` are new since the last report. */
  | { readonly type: 'refused'; readonly reason: string; readonly count: number }
  | { readonly type: 'stopped' }
  | { readonly type: 'abandoned'; readonly afterMs: number }

export interface GatewayProcessContext {
  readonly retry: RetryPolicy
  /** Returns a random number from 0 to 1. */
  readonly random: () => number
  /** Returns whether this instance must run the gateway. */
  readonly owns: (gatewayId: string) => boolean
  /** Returns whether no other instance may run the gateway at this moment: this one owns it, or is stopping its process. */
  readonly holds: (gatewayId: string) => boolean
  /** Resolves after the time, rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly nowMs: () => number
  readonly onEvent: (gateway: Gateway, event: GatewayProcessEvent) => void
  /** Called after each change of the status of the gateway's process, also of a count, and when the process is removed. */
  readonly onChange: (gatewayId: string) => void
}

/** Serves one gateway from start to stop, over all attempts. */
export class GatewayProcess {
  readonly #runner: GatewayRunner
  readonly #context: GatewayProcessContext
  readonly #stop = new AbortController()
  /** Created when a runner asks for it. */
  #forfeit: AbortController | undefined
  #isForfeited = false
  readonly #ended: Promise<void>
  #gateway: Gateway
  #status: GatewayProcessStatus
  #refusals: Refusals | undefined
  #stopped: Promise<void> | undefined
  #isAbandoned = false
  #successor: Gateway | null | undefined

  constructor(gateway: Gateway, runner: GatewayRunner, context: GatewayProcessContext) {
    this.#gateway = gateway
    this.#runner = runner
    this.#context = context
    const startedAtMs = context.nowMs()
    const counts = { failures: 0, messages: 0, events: {}, refused: {} }
    this.#status = {
      state: 'starting',
      sinceMs: startedAtMs,
      startedAtMs,
      lastError: null,
      connectedTo: null,
      ...counts,
    }
    this.#ended = this.#runUntilStopped()
  }

  get gateway(): Gateway {
    return this.#gateway
  }

  /** That of the config with which the process was started; not stored, because it is as large as the config. */
  get fingerprint(): string {
    return configFingerprint(this.#gateway)
  }

  get status(): GatewayProcessStatus {
    return this.#status
  }

  /** Replaces the row with a newer state of the same fingerprint. */
  refresh(gateway: Gateway): void {
    this.#gateway = gateway
  }

  /**
   * Aborts immediately; a runner that does not end within the time is abandoned. Further calls have no effect. `successor` is the newer
   * state of the gateway, null if it is removed.
   */
  stop(timeoutMs: number, successor?: Gateway | null): Promise<void> {
    if (this.#stopped === undefined) this.#successor = successor
    this.#stopped ??= this.#abort(timeoutMs)
    return this.#stopped
  }

  /** Ends the wait for messages in flight, because another instance may run the gateway. */
  forfeit(): void {
    this.#isForfeited = true
    this.#forfeit?.abort()
  }

  async #abort(timeoutMs: number): Promise<void> {
    this.#stop.abort()
    const timeout = new AbortController()
    const timedOut = this.#context.sleep(timeoutMs, timeout.signal).then(
      () => true,
      () => false,
    )
    const abandoned = await Promise.race([this.#ended.then(() => false), timedOut])
    timeout.abort()
    this.#isAbandoned = abandoned
    if (abandoned) this.#emit({ type: 'abandoned', afterMs: timeoutMs })
  }

  async #runUntilStopped(): Promise<void> {
    const { signal } = this.#stop
    const { retry, sleep, random } = this.#context
    while (!signal.aborted) {
      const failure = await this.#attempt()
      if (signal.aborted) break
      const failures = this.#status.failures + 1
      const reason = messageOf(failure)
      this.#change({ failures, lastError: reason })
      const failing = isFailing(failures, retry)
      if (failure instanceof GatewayConfigError || (failing && retry.stopsWhenFailing)) {
        this.#change({ state: 'failed' })
        return this.#emit({ type: 'failed', reason })
      }
      const waitMs = retryDelayMs(failures, retry.delayMs, random())
      this.#reportFailure({ reason, attempt: failures, waitMs }, failing)
      await sleep(waitMs, signal).catch(() => undefined)
    }
    this.#change({ state: 'stopped' })
    this.#emit({ type: 'stopped' })
  }

  #reportFailure(failure: { reason: string; attempt: number; waitMs: number }, failing: boolean): void {
    const wasFailing = this.#status.state === 'failing'
    this.#change({ state: failing ? 'failing' : 'retrying' })
    if (!failing) this.#emit({ type: 'retrying', ...failure })
    else if (!wasFailing) this.#emit({ type: 'failing', reason: failure.reason, attempt: failure.attempt })
  }

  /** Makes an attempt; resolves to the reason why it ended. */
  async #attempt(): Promise<unknown> {
    if (this.#status.state !== 'failing') this.#change({ state: 'starting' })
    let current = true
    const forfeited = (): AbortSignal => this.#forfeited()
    const whileCurrent = (act: () => void) => () => {
      if (current && !this.#stop.signal.aborted) act()
    }
    try {
      this.#assertOwned()
      await this.#runner({
        gateway: this.#gateway,
        signal: this.#stop.signal,
        assertOwned: () => {
          if (!current || this.#isAbandoned) throw new GatewayNotOwned('the gateway process has ended')
          this.#assertOwned()
        },
        get forfeited() {
          return forfeited()
        },
        successor: () => this.#successor,
        succeeded: (broker) => whileCurrent(() => this.#succeeded(broker))(),
        interrupted: (reason) => whileCurrent(() => this.#interrupted(reason))(),
        received: () => this.#change({ messages: this.#status.messages + 1 }),
        observed: (kind) => whileCurrent(() => this.#observed(kind))(),
        refused: (reason, error) => whileCurrent(() => this.#refused(reason, error))(),
      })
      return new Error('the runner ended without an error')
    } catch (error) {
      return error
    } finally {
      current = false
    }
  }

  /** A signal takes much of the memory of a gateway, and not every runner needs this one. */
  #forfeited(): AbortSignal {
    this.#forfeit ??= new AbortController()
    if (this.#isForfeited) this.#forfeit.abort()
    return this.#forfeit.signal
  }

  #assertOwned(): void {
    if (!this.#context.holds(this.#gateway.gatewayId)) throw new GatewayNotOwned('another instance may run the gateway')
  }

  #succeeded(connectedTo: BrokerAddress | null = this.#status.connectedTo): void {
    this.#change({ state: 'running', failures: 0, connectedTo })
    this.#emit({ type: 'running' })
  }

  #interrupted(reason: string): void {
    this.#change({ state: 'interrupted', lastError: reason })
    this.#emit({ type: 'interrupted', reason })
  }

  #observed(kind: string): void {
    const { events } = this.#status
    this.#change({ events: { ...events, [kind]: (events[kind] ?? 0) + 1 } })
  }

  #refused(reason: RefusalReason, error: string): void {
    this.#refusals ??= new Refusals()
    const count = this.#refusals.record(reason, this.#context.nowMs())
    this.#change({ refused: this.#refusals.counts, lastError: error })
    if (count > 0) this.#emit({ type: 'refused', reason: error, count })
  }

  #change(change: Partial<GatewayProcessStatus>): void {
    const isNew = change.state !== undefined && change.state !== this.#status.state
    this.#status = { ...this.#status, ...change, ...(isNew ? { sinceMs: this.#context.nowMs() } : {}) }
    this.#context.onChange(this.#gateway.gatewayId)
  }

  #emit(event: GatewayProcessEvent): void {
    this.#context.onEvent(this.#gateway, event)
  }
}
