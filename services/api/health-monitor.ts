import { setTimeout as sleep } from 'node:timers/promises'
import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../src/proto/gen/grpc/health/v1/health_pb.ts'
import type { ReadinessCheck } from '../../src/runner/health.ts'

export interface HealthMonitorOptions {
  /** Full names of the services that need what is checked; '' is the server as a whole. */
  readonly services: readonly string[]
  readonly check: ReadinessCheck
  /** Between two checks. Default 1000. */
  readonly intervalMs?: number
  /** For one check. Default 2000. */
  readonly timeoutMs?: number
}

type Listener = (status: ServingStatus) => void

/** Knows, and tells at once, whether some services can serve: they can while what they need answers and no shutdown has begun. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions
  readonly #services: ReadonlySet<string>
  readonly #listeners = new Set<Listener>()
  #status: ServingStatus = ServingStatus.SERVING

  constructor(options: HealthMonitorOptions) {
    this.#options = options
    this.#services = new Set(options.services)
  }

  /** Checks until the signal aborts; from then on nothing is serving. */
  async run(signal: AbortSignal): Promise<void> {
    const { check, intervalMs = 1000, timeoutMs = 2000 } = this.#options
    while (!signal.aborted) {
      const status = await check(AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])).then(
        () => ServingStatus.SERVING,
        () => ServingStatus.NOT_SERVING,
      )
      this.#change(status)
      await sleep(intervalMs, undefined, { signal }).catch(() => {})
    }
    this.#change(ServingStatus.NOT_SERVING)
  }

  /** The state of a service; null for one that is not looked after here. */
  status(service: string): ServingStatus | null {
    return this.#services.has(service) ? this.#status : null
  }

  /** Calls the listener at every change until the returned function is called. */
  watch(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #change(status: ServingStatus): void {
    if (status === this.#status) return
    this.#status = status
    for (const listener of this.#listeners) listener(status)
  }
}
