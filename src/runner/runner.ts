import { constants } from 'node:os'
import { z } from 'zod'
import { commonEnvironment, integer, parseEnvironment } from './environment.ts'
import { serveHttp, type RequestHandler, notifyReady, waitUntilReady, type ReadinessCheck } from './health.ts'
import { runLifecycle, type LifecycleHost, type AppProcess, type Closer } from './lifecycle.ts'
import type { Logger } from './logger.ts'

export interface RunnerOptions {
  /** Name in logs and in `PONIX_<SERVICE>_HTTP_PORT`. */
  readonly service: string
  readonly logger: Logger
  /** The processes, which run concurrently. */
  readonly processes: Readonly<Record<string, AppProcess>>
  /** Functions to run in reverse order after the processes have ended. */
  readonly closers?: Readonly<Record<string, Closer>>
  /** The time limit of each closer, and of all processes together after the stop. Default 10,000. */
  readonly closerTimeoutMs?: number
  readonly readiness?: Readonly<Record<string, ReadinessCheck>>
  /** Further GET routes of the HTTP server by path, such as `/gateways`, with JSON answers. */
  readonly routes?: Readonly<Record<string, () => unknown>>
  /** Uses a free HTTP port if another instance on this machine uses the configured one. Default false. */
  readonly sharesPort?: boolean
  /** The first handler of every request of the HTTP server. */
  readonly requests?: RequestHandler
}

/**
 * Runs a service until SIGINT or SIGTERM (exit code 0), or until one of its processes fails or ends early (exit code 1), then
 * its closers, and exits. A second signal exits immediately. Reports readiness on NOTIFY_FD when all readiness checks have
 * passed, and serves /healthz, /readyz and /metrics on the port of `PONIX_<SERVICE>_HTTP_PORT` unless it is 0 or not set.
 */
export async function runService(options: RunnerOptions): Promise<never> {
  const { logger, processes, closers = {}, closerTimeoutMs = 10_000 } = options
  const prepare = async (stopping: AbortSignal): Promise<void> => {
    await openHttp(options, stopping)
    void announce(options, stopping)
  }
  // Keeps Node alive while the processes wait only for a signal.
  setInterval(() => {}, 2 ** 30)
  const exitCode = await runLifecycle({ logger, prepare, processes, closers, closerTimeoutMs }, nodeHost)
  logger.info({ exit_code: exitCode }, 'stopped')
  return process.exit(exitCode)
}

/** Returns the name of the variable that sets the HTTP port of a service: `PONIX_<SERVICE>_HTTP_PORT`. */
export function httpPortVariable(service: string): string {
  return `PONIX_${service.toUpperCase().replaceAll('-', '_')}_HTTP_PORT`
}

async function openHttp(options: RunnerOptions, stopping: AbortSignal): Promise<void> {
  const { service, logger, readiness = {}, routes = {}, sharesPort = false, requests } = options
  const portVariable = httpPortVariable(service)
  const schema = z.object({ [portVariable]: integer(0, 65_535).prefault('0') })
  const { [portVariable]: port = 0 } = parseEnvironment(schema, process.env)
  if (port === 0) return
  const { PONIX_HTTP_ALLOWED_HOSTS: allowedHosts } = parseEnvironment(z.object(commonEnvironment), process.env)
  const http = { service, portVariable, port, sharesPort, readiness, routes, allowedHosts, requests, stopping }
  const address = (await serveHttp(http)).address()
  logger.info({ port: typeof address === 'object' ? address?.port : port }, 'serving /healthz, /readyz and /metrics')
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
    // Reached only by PID 1 of a container, for which the kernel ignores the default action.
    process.exit(128 + constants.signals[signal])
  },
}
