import { GatewayConfigError, messageOf } from '../errors.ts'
import type { Gateway } from '../entities.ts'
import { configFingerprint } from './decision.ts'

/** What a runner is given. It runs until the signal aborts; ending before that, or throwing, is a failure. */
export interface GatewayRun {
  readonly gateway: Gateway
  readonly signal: AbortSignal
  /** The runner does its work now: the count of failures in a row starts again at 0. */
  readonly succeeded: () => void
  /** The runner lost its server and tries to get it back by itself. */
  readonly interrupted: (reason: string) => void
  /** One more message came through this gateway. */
  readonly received: () => void
}

/** Serves one gateway; chosen by the gateway's type (G-8). */
export type GatewayRunner = (run: GatewayRun) => Promise<void>

export interface RetryPolicy {
  readonly delayMs: number
  /** Retries in a row before the gateway has failed. */
  readonly maxAttempts: number
}

/**
 * starting → running ⇄ interrupted; any of them → retrying → starting; any → failed or stopped, which are final.
 */
export type GatewayProcessState = 'starting' | 'running' | 'interrupted' | 'retrying' | 'failed' | 'stopped'

export interface GatewayProcessStatus {
  readonly state: GatewayProcessState
  readonly startedAtMs: number
  /** Failures in a row. */
  readonly failures: number
  readonly lastError: string | null
  readonly messages: number
}

export type GatewayProcessEvent =
  | { readonly type: 'running' }
  | { readonly type: 'interrupted'; readonly reason: string }
  | { readonly type: 'retrying'; readonly reason: string; readonly attempt: number; readonly waitMs: number }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'stopped' }
  | { readonly type: 'abandoned'; readonly afterMs: number }

export interface GatewayProcessOptions {
  readonly runner: GatewayRunner
  readonly retry: RetryPolicy
  /** Resolves after the time, rejects when the signal aborts. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>
  readonly nowMs: () => number
  readonly onEvent: (gateway: Gateway, event: GatewayProcessEvent) => void
}

/** The task that serves one gateway, from its start to its stop, over all its attempts (G-9). */
export class GatewayProcess {
  readonly fingerprint: string
  readonly #options: GatewayProcessOptions
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #gateway: Gateway
  #status: GatewayProcessStatus

  constructor(gateway: Gateway, options: GatewayProcessOptions) {
    this.fingerprint = configFingerprint(gateway)
    this.#gateway = gateway
    this.#options = options
    this.#status = { state: 'starting', startedAtMs: options.nowMs(), failures: 0, lastError: null, messages: 0 }
    this.#ended = this.#attemptUntilStopped()
  }

  get gateway(): Gateway {
    return this.#gateway
  }

  get status(): GatewayProcessStatus {
    return this.#status
  }

  /** Takes a newer state of the row that does not change how the gateway is served. */
  refresh(gateway: Gateway): void {
    this.#gateway = gateway
  }

  /** Ends it at once in whatever it does; a runner that does not end within the time is abandoned (G-10). */
  async stop(timeoutMs: number): Promise<void> {
    this.#stop.abort()
    const patience = new AbortController()
    const timedOut = this.#options.sleep(timeoutMs, patience.signal).then(
      () => true,
      () => false,
    )
    const abandoned = await Promise.race([this.#ended.then(() => false), timedOut])
    patience.abort()
    if (abandoned) this.#emit({ type: 'abandoned', afterMs: timeoutMs })
  }

  async #attemptUntilStopped(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const failure = await this.#attempt()
      if (signal.aborted) break
      const failures = this.#status.failures + 1
      this.#change({ failures, lastError: messageOf(failure) })
      if (failure instanceof GatewayConfigError || failures > this.#options.retry.maxAttempts) {
        this.#change({ state: 'failed' })
        this.#emit({ type: 'failed', reason: messageOf(failure) })
        return
      }
      await this.#wait(failures, messageOf(failure))
    }
    this.#change({ state: 'stopped' })
    this.#emit({ type: 'stopped' })
  }

  /** Resolves with the reason why the attempt ended. */
  async #attempt(): Promise<unknown> {
    this.#change({ state: 'starting' })
    let current = true
    const whileCurrent = (act: () => void) => () => {
      if (current && !this.#stop.signal.aborted) act()
    }
    try {
      await this.#options.runner({
        gateway: this.#gateway,
        signal: this.#stop.signal,
        succeeded: whileCurrent(() => this.#succeeded()),
        interrupted: (reason) => whileCurrent(() => this.#interrupted(reason))(),
        received: whileCurrent(() => this.#change({ messages: this.#status.messages + 1 })),
      })
      return new Error('the runner ended by itself')
    } catch (error) {
      return error
    } finally {
      current = false
    }
  }

  async #wait(attempt: number, reason: string): Promise<void> {
    const waitMs = this.#options.retry.delayMs
    this.#change({ state: 'retrying' })
    this.#emit({ type: 'retrying', reason, attempt, waitMs })
    await this.#options.sleep(waitMs, this.#stop.signal).catch(() => undefined)
  }

  #succeeded(): void {
    this.#change({ state: 'running', failures: 0 })
    this.#emit({ type: 'running' })
  }

  #interrupted(reason: string): void {
    this.#change({ state: 'interrupted', lastError: reason })
    this.#emit({ type: 'interrupted', reason })
  }

  #change(change: Partial<GatewayProcessStatus>): void {
    this.#status = { ...this.#status, ...change }
  }

  #emit(event: GatewayProcessEvent): void {
    this.#options.onEvent(this.#gateway, event)
  }
}
