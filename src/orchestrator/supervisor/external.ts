import { messageOf } from '../config/errors.ts'
import type { ExternalDependency } from '../config/resolved.ts'
import { formatSocketAddress } from '../config/socket-address.ts'
import type { SupervisorEvent } from './events.ts'
import { checkTcpSocket } from './probes/checks.ts'
import { sleep } from './timers.ts'

const TIMEOUT_MS = 5000
const RETRY_EVERY_MS = 100

/** Processes that use the address start only when it is `reachable`. */
export type ExternalState = 'unchecked' | 'checking' | 'reachable' | 'unreachable'

export type ExternalEvent =
  /** The state is `reachable`. */
  | { readonly type: 'mqtt_broker_reachable' }
  /** No attempt succeeded within 5 s. */
  | Extract<SupervisorEvent, { type: 'mqtt_broker_unreachable' }>

/** Checks once that an external dependency accepts TCP connections, with retries for 5 s. */
export class ExternalCheck {
  readonly #dependency: ExternalDependency | null
  readonly #signal: AbortSignal
  readonly #emit: (event: ExternalEvent) => void
  #state: ExternalState
  #since = 0
  #failures = 0
  #answer: string | null = null

  /** When `signal` is aborted, attempts and events end. */
  constructor(dependency: ExternalDependency | null, signal: AbortSignal, emit: (event: ExternalEvent) => void) {
    this.#dependency = dependency
    this.#signal = signal
    this.#emit = emit
    this.#state = dependency?.required === true ? 'unchecked' : 'reachable'
  }

  get state(): ExternalState {
    return this.#state
  }

  /** The time of the first attempt on the clock of `performance.now()`. */
  get since(): number {
    return this.#since
  }

  /** The number of failed attempts. */
  get failures(): number {
    return this.#failures
  }

  /** The reason why the last attempt failed; null if none has failed. */
  get answer(): string | null {
    return this.#answer
  }

  /** Starts the check, unless it was started before. */
  start(): void {
    if (this.#dependency === null || this.#state !== 'unchecked' || this.#signal.aborted) return
    this.#state = 'checking'
    this.#since = performance.now()
    void this.#run(this.#dependency)
  }

  async #run(dependency: ExternalDependency): Promise<void> {
    const isReachable = await this.#connect(dependency)
    if (this.#signal.aborted) return
    this.#state = isReachable ? 'reachable' : 'unreachable'
    if (isReachable) return this.#emit({ type: 'mqtt_broker_reachable' })
    const address = formatSocketAddress(dependency)
    this.#emit({ type: 'mqtt_broker_unreachable', address, reason: this.#answer ?? 'no answer within 5 s' })
  }

  /** Resolves with true once a connection is accepted, else with false after 5 s. */
  async #connect({ host, port }: ExternalDependency): Promise<boolean> {
    const timeout = new AbortController()
    const over = AbortSignal.any([this.#signal, timeout.signal])
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS)
    try {
      while (!over.aborted) {
        const failure = await checkTcpSocket(host, port, over).then(() => null, messageOf)
        if (failure === null) return true
        // The time-out cuts the last attempt short; the error of an earlier one is more specific.
        if (!over.aborted) this.#answer = failure
        this.#failures++
        await sleep(RETRY_EVERY_MS, over)
      }
      return false
    } finally {
      clearTimeout(timer)
    }
  }
}
