import { messageOf } from '../config/errors.ts'
import type { ExternalDependency } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import { checkTcpSocket } from './probes/checks.ts'
import { sleep } from './timers.ts'

const TIMEOUT_MS = 5000
const RETRY_EVERY_MS = 100

/** Processes that use the address start only when it is `reachable`. */
export type ExternalState = 'unchecked' | 'checking' | 'reachable' | 'unreachable'

export interface ExternalListener {
  /** Called when the first attempt has failed; further attempts follow. */
  onWaiting(address: string): void
  /** Called when the state has become `reachable`. */
  onReachable(): void
  /** Called when the state has become `unreachable`: no attempt succeeded within 5 s. `reason` is the error of the last attempt. */
  onUnreachable(address: string, reason: string): void
}

/** Checks once that an external dependency accepts TCP connections, with retries for 5 s. */
export class ExternalCheck {
  readonly #dependency: ExternalDependency
  readonly #signal: AbortSignal
  readonly #listener: ExternalListener
  #state: ExternalState

  /** Once `signal` is aborted, there are no more attempts and no more calls of the listener. */
  constructor(dependency: ExternalDependency, signal: AbortSignal, listener: ExternalListener) {
    this.#dependency = dependency
    this.#signal = signal
    this.#listener = listener
    this.#state = dependency.required ? 'unchecked' : 'reachable'
  }

  get state(): ExternalState {
    return this.#state
  }

  /** Starts the check, unless it was started before. */
  start(): void {
    if (this.#state !== 'unchecked' || this.#signal.aborted) return
    this.#state = 'checking'
    void this.#run()
  }

  async #run(): Promise<void> {
    const address = formatSocketAddress(this.#dependency)
    const reason = await this.#connect(() => this.#listener.onWaiting(address))
    if (this.#signal.aborted) return
    this.#state = reason === null ? 'reachable' : 'unreachable'
    if (reason === null) this.#listener.onReachable()
    else this.#listener.onUnreachable(address, reason)
  }

  /** Resolves with null once a connection is accepted, else with the reason of the last failure. */
  async #connect(onWaiting: () => void): Promise<string | null> {
    const limit = new AbortController()
    const giveUp = () => limit.abort()
    const timer = setTimeout(giveUp, TIMEOUT_MS)
    this.#signal.addEventListener('abort', giveUp, { once: true })
    let reason = 'no response within 5 s'
    try {
      for (let attempt = 0; !limit.signal.aborted; attempt++) {
        const failure = await tryConnect(this.#dependency, limit.signal)
        if (failure === null) return null
        // The time-out cuts the last attempt short; the error of an earlier one is more specific.
        if (!limit.signal.aborted) reason = failure
        if (attempt === 0) onWaiting()
        await sleep(RETRY_EVERY_MS, limit.signal)
      }
      return reason
    } finally {
      clearTimeout(timer)
      this.#signal.removeEventListener('abort', giveUp)
    }
  }
}

async function tryConnect({ host, port }: ExternalDependency, signal: AbortSignal): Promise<string | null> {
  try {
    await checkTcpSocket(host, port, signal)
    return null
  } catch (error) {
    return messageOf(error)
  }
}
