import type { MqttBroker, ResolvedProcess } from '../config/resolved.ts'
import { checkTcpSocket } from './probes/checks.ts'
import { sleep } from './timers.ts'
import { messageOf } from '../config/errors.ts'

const LIMIT_MS = 5000
const TRY_EVERY_MS = 100

/** `host:port` as people write it, an IPv6 address in brackets. */
export function brokerAddress({ host, port }: MqttBroker): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Resolves with null as soon as the broker accepts a connection, or with the last reason if it does not within 5 s or
 * `signal` is aborted. `onWaiting` is called if the first attempt failed.
 */
async function awaitBroker(broker: MqttBroker, signal: AbortSignal, onWaiting: () => void): Promise<string | null> {
  const limit = new AbortController()
  const stop = () => limit.abort()
  const timer = setTimeout(stop, LIMIT_MS)
  signal.addEventListener('abort', stop, { once: true })
  let reason = 'no answer within 5 s'
  try {
    for (let attempt = 0; !limit.signal.aborted; attempt++) {
      const failure = await tryOnce(broker, limit.signal)
      if (failure === null) return null
      // The last attempt is cut short by the limit; what an earlier one met says more.
      if (!limit.signal.aborted) reason = failure
      if (attempt === 0) onWaiting()
      await sleep(TRY_EVERY_MS, limit.signal)
    }
    return reason
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

export interface BrokerListener {
  onWaiting(address: string): void
  onReachable(): void
  onUnreachable(address: string, reason: string): void
}

/** What users of the broker pass once it was seen to accept a connection; open from the start if it is not required. */
export class BrokerGate {
  readonly #broker: MqttBroker
  readonly #signal: AbortSignal
  readonly #listener: BrokerListener
  #state: 'unchecked' | 'checking' | 'open'

  /** Looks no longer, and tells nothing, once `signal` is aborted. */
  constructor(broker: MqttBroker, signal: AbortSignal, listener: BrokerListener) {
    this.#broker = broker
    this.#signal = signal
    this.#listener = listener
    this.#state = broker.required ? 'unchecked' : 'open'
  }

  /** Whether the process may start, as far as the broker goes: also if it is the one that provides it. */
  admits({ name, usesMqttBroker }: Pick<ResolvedProcess, 'name' | 'usesMqttBroker'>): boolean {
    return !usesMqttBroker || this.#state === 'open' || name === this.#broker.providedBy
  }

  /** Looks for the broker, once; calling it again changes nothing. */
  check(): void {
    if (this.#state !== 'unchecked' || this.#signal.aborted) return
    this.#state = 'checking'
    void this.#await()
  }

  async #await(): Promise<void> {
    const address = brokerAddress(this.#broker)
    const reason = await awaitBroker(this.#broker, this.#signal, () => this.#listener.onWaiting(address))
    if (this.#signal.aborted) return
    if (reason === null) {
      this.#state = 'open'
      this.#listener.onReachable()
    } else this.#listener.onUnreachable(address, reason)
  }
}

async function tryOnce({ host, port }: MqttBroker, signal: AbortSignal): Promise<string | null> {
  try {
    await checkTcpSocket(host, port, signal)
    return null
  } catch (error) {
    return messageOf(error)
  }
}
