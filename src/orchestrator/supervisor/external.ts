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
  /** The first attempt failed, and further attempts follow; or none succeeded within 5 s. */
  | Extract<SupervisorEvent, { type: 'mqtt_broker_waiting' | 'mqtt_broker_unreachable' }>

/** Checks once that an external dependency accepts TCP connections, with retries for 5 s. */
export class ExternalCheck {
  readonly #dependency: ExternalDependency | null
  readonly #signal: AbortSignal
  readonly #emit: (event: ExternalEvent) => void
  #state: ExternalState

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

  /** Starts the check, unless it was started before. */
  start(): void {
    if (this.#dependency === null || this.#state !== 'unchecked' || this.#signal.aborted) return
    this.#state = 'checking'
    void this.#run(this.#dependency)
  }

  async #run(dependency: ExternalDependency): Promise<void> {
    const address = formatSocketAddress(dependency)
    const reason = await this.#connect(dependency, address)
    if (this.#signal.aborted) return
    this.#state = reason === null ? 'reachable' : 'unreachable'
    if (reason === null) this.#emit({ type: 'mqtt_broker_reachable' })
    else this.#emit({ type: 'mqtt_broker_unreachable', address, reason })
  }

  /** Resolves with null once a connection is accepted, else with the reason of the last failure. */
  async #connect({ host, port }: ExternalDependency, address: string): Promise<string | null> {
    const timeout = new AbortController()
    const over = AbortSignal.any([this.#signal, timeout.signal])
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS)
    let reason = 'no response within 5 s'
    try {
      for (let attempt = 0; !over.aborted; attempt++) {
        const failure = await checkTcpSocket(host, port, over).then(() => null, messageOf)
        if (failure === null) return null
        // The time-out cuts the last attempt short; the error of an earlier one is more specific.
        if (!over.aborted) reason = failure
        if (attempt === 0) this.#emit({ type: 'mqtt_broker_waiting', address })
        await sleep(RETRY_EVERY_MS, over)
      }
      return reason
    } finally {
      clearTimeout(timer)
    }
  }
}
