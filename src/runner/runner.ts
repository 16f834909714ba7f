import { constants } from 'node:os'
import { z } from 'zod'
import { integer, parseEnvironment } from './environment.ts'
import { serveHttp, type RequestHandler, notifyReady, waitUntilReady, type ReadinessCheck } from './health.ts'
import { runLifecycle, type LifecycleHost, type AppProcess, type Closer } from './lifecycle.ts'
import type { Logger } from './logger.ts'

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
  /** Sees every request of that server first. */
  readonly requests?: RequestHandler
}

/**
 * Runs a service until SIGINT or SIGTERM (exit code 0) or until one of its processes fails or ends by itself (exit code 1),
 * then its closers; and ends the Node process. A second signal ends it at once. Announces readiness on NOTIFY_FD as soon as
 * every readiness check has passed once, and serves /healthz, /readyz and /metrics on the port of
 * `PONIX_<SERVICE>_HTTP_PORT`, unless that is not set or 0.
 */
export async function runService(options: RunnerOptions): Promise<never> {
  const { logger, processes, closers = {}, closerTimeoutMs = 10_000 } = options
  const prepare = async (stopping: AbortSignal): Promise<void> => {
    await openHttp(options, stopping)
    void announce(options, stopping)
  }
  // Without it Node would end as soon as all processes wait for nothing but the signal.
  setInterval(() => {}, 2 ** 30)
  const exitCode = await runLifecycle({ logger, prepare, processes, closers, closerTimeoutMs }, nodeHost)
  logger.info({ exit_code: exitCode }, 'stopped')
  return process.exit(exitCode)
}

/** `PONIX_<SERVICE>_HTTP_PORT`. */
export function httpPortVariable(service: string): string {
  return `PONIX_${service.toUpperCase().replaceAll('-', '_')}_HTTP_PORT`
}

async function openHttp(options: RunnerOptions, stopping: AbortSignal): Promise<void> {
  const { service, logger, readiness = {}, routes = {}, requests } = options
  const portVariable = httpPortVariable(service)
  const schema = z.object({ [portVariable]: integer(0, 65_535).prefault('0') })
  const { [portVariable]: port = 0 } = parseEnvironment(schema, process.env)
  if (port === 0) return
  await serveHttp({ service, portVariable, port, readiness, routes, requests, stopping })
  logger.info({ port }, 'serving /healthz, /readyz and /metrics')
}

async function announce({ readiness = {}, logger }: RunnerOptions, stopping: AbortSignal): Promise<void> {
  if (!(await waitUntilReady(readiness, stopping, logger))) return
  notifyReady(process.env['NOTIFY_FD'], logger)
  logger.info('ready')
}

const nodeHost: LifecycleHost = {
  onSignal(listener) {
    process.on('SIGINT', listener).on('SIGTERM', listener)
  },
  onUncaught(listener) {
    process.on('uncaughtException', listener)
  },
  die(signal) {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    // Only process 1 of a container gets here: to it a signal's default action does nothing.
    process.exit(128 + constants.signals[signal])
  },
}
