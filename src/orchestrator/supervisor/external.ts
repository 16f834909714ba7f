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

type Failure = Extract<SupervisorEvent, { type: 'mqtt_broker_unreachable' }>

/** Checks that an external dependency accepts TCP connections, with retries for 5 s. */
export class ExternalCheck {
  readonly #dependency: ExternalDependency | null
  readonly #onSettled: () => void
  readonly #over = new AbortController()
  #state: ExternalState
  #since = 0
  #failures = 0
  #answer: string | null = null
  #failure: Failure | null = null

  /** Calls `onSettled` when the state has become `reachable` or `unreachable`. */
  constructor(dependency: ExternalDependency | null, onSettled: () => void) {
    this.#dependency = dependency
    this.#onSettled = onSettled
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

  /** The reason why it is `unreachable`; null in other states. */
  get failure(): Failure | null {
    return this.#failure
  }

  /** Starts the check, unless it was started before. */
  start(): void {
    if (this.#dependency === null || this.#state !== 'unchecked' || this.#over.signal.aborted) return
    this.#state = 'checking'
    this.#since = performance.now()
    void this.#run(this.#dependency)
  }

  /** Forgets that the address is unreachable, so that `start` checks it again. */
  forget(): void {
    this.#state = 'unchecked'
    this.#failures = 0
    this.#answer = null
    this.#failure = null
  }

  /** Ends the attempts. */
  end(): void {
    this.#over.abort()
  }

  async #run(dependency: ExternalDependency): Promise<void> {
    const isReachable = await this.#connect(dependency)
    if (this.#over.signal.aborted) return
    this.#state = isReachable ? 'reachable' : 'unreachable'
    if (!isReachable) {
      const address = formatSocketAddress(dependency)
      this.#failure = { type: 'mqtt_broker_unreachable', address, reason: this.#answer ?? 'no answer within 5 s' }
    }
    this.#onSettled()
  }

  /** Resolves with true once a connection is accepted, else with false after 5 s. */
  async #connect({ host, port }: ExternalDependency): Promise<boolean> {
    const timeout = new AbortController()
    const over = AbortSignal.any([this.#over.signal, timeout.signal])
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
