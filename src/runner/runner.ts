import type { Logger } from './logger.ts'

/** Something that runs until it is told to stop. Ending before that, or rejecting, takes the whole service down. */
export type AppProcess = (signal: AbortSignal) => Promise<void>

/** Releases something the service opened; bounded by the closer timeout. */
export type Closer = () => Promise<void>

/** Answers for one dependency on `/readyz`: resolves when it answers, rejects with the reason when it does not. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<void>

export interface RunnerOptions {
  /** The service's name, as in logs and in `PONIX_<SERVICE>_HTTP_PORT` (`gateway-orchestrator` → GATEWAY_ORCHESTRATOR). */
  readonly service: string
  readonly logger: Logger
  /** All run at the same time. */
  readonly processes: Readonly<Record<string, AppProcess>>
  /** Run in reverse order of registration after the processes have ended. */
  readonly closers?: Readonly<Record<string, Closer>>
  /** For each closer, and for the processes together once they are told to stop. Default 10,000 ms. */
  readonly closerTimeoutMs?: number
  readonly readiness?: Readonly<Record<string, ReadinessCheck>>
  /** Further routes of the service's HTTP server, by path: `/gateways`. GET only, JSON out. */
  readonly routes?: Readonly<Record<string, () => unknown>>
}

/**
 * Runs a service until SIGINT or SIGTERM (exit code 0) or until one of its processes fails or ends by itself (exit code 1),
 * then its closers; and ends the Node process. A second signal ends it at once. Announces readiness on NOTIFY_FD as soon as
 * every readiness check has passed once, and serves /healthz, /readyz and /metrics.
 */
export function runService(_options: RunnerOptions): Promise<never> {
  throw new Error('to be built')
}
