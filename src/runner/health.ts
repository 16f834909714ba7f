import { closeSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { collectDefaultMetrics, register } from 'prom-client'
import { StartupError, messageOf } from '../domain/errors.ts'
import type { Logger } from './logger.ts'
import { refusalOf } from './request-guard.ts'
import { timeoutSignal } from './timeout-signal.ts'

/** Handles a request, or returns false to leave it to the default routes. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => boolean

export interface HttpOptions {
  readonly service: string
  /** Variable that sets the port, for error messages. */
  readonly portVariable: string
  readonly port: number
  /** Whether another instance on this machine may use the port; then this one listens on a free port. */
  readonly sharesPort: boolean
  readonly readiness: Readonly<Record<string, ReadinessCheck>>
  readonly routes: Readonly<Record<string, () => unknown>>
  /** Names that `Host` may have beside those of loopback, in lower case. */
  readonly allowedHosts: readonly string[]
  /** The first handler of every admitted request. */
  readonly requests?: RequestHandler | undefined
  readonly stopping: AbortSignal
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const HOST = '127.0.0.1'
/** The answers are data: a browser must not run, embed or guess them. */
const SECURITY_HEADERS = [
  ['x-content-type-options', 'nosniff'],
  ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
  ['cross-origin-resource-policy', 'same-origin'],
  ['referrer-policy', 'no-referrer'],
] as const
let defaultMetrics = false

/**
 * Serves /healthz, /readyz, /metrics and the routes of the service on 127.0.0.1. The answer of /readyz is one line of plain text:
 * `ready`, or the dependencies that do not answer. Throws a StartupError if the server cannot listen.
 */
export async function serveHttp(options: HttpOptions): Promise<Server> {
  if (!defaultMetrics) collectDefaultMetrics()
  defaultMetrics = true
  const server = createServer((request, response) => {
    for (const [name, value] of SECURITY_HEADERS) response.setHeader(name, value)
    const refusal = refusalOf(request.headers, options.allowedHosts)
    if (refusal !== null) send(response, request, json(refusal.status, { error: refusal.reason }))
    else if (options.requests?.(request, response) !== true) void respond(options, request, response)
  })
  const { port, portVariable, sharesPort } = options
  try {
    await once(server.listen(port, HOST), 'listening')
  } catch (error) {
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    if (inUse && sharesPort) return await serveHttp({ ...options, port: 0, sharesPort: false })
    const reason = inUse ? 'the port is in use by another program' : messageOf(error)
    const message = `${portVariable}=${port}: cannot listen on ${HOST}:${port}: ${reason}; choose another port`
    throw new StartupError(message, { cause: error })
  }
  return server
}

async function respond(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let answer: Answer
  try {
    answer = await answerFor(options, request)
  } catch (error) {
    answer = json(500, { error: messageOf(error) })
  }
  send(response, request, answer)
}

function send(response: ServerResponse, { method }: IncomingMessage, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(method === 'HEAD' ? undefined : body)
}

async function answerFor(options: HttpOptions, request: IncomingMessage): Promise<Answer> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  if (request.method !== 'GET' && request.method !== 'HEAD') return json(405, { error: 'only GET is supported' })
  if (path === '/healthz') return json(200, { service: options.service, status: 'alive' })
  if (path === '/readyz') {
    const reason = await reasonNotReady(options.readiness, options.stopping)
    return { status: reason === null ? 200 : 503, type: 'text/plain; charset=utf-8', body: `${reason ?? 'ready'}\n` }
  }
  if (path === '/metrics') return { status: 200, type: register.contentType, body: await register.metrics() }
  const route = Object.hasOwn(options.routes, path) ? options.routes[path] : undefined
  if (route !== undefined) return json(200, await route())
  const paths = ['/healthz', '/readyz', '/metrics', ...Object.keys(options.routes)]
  return json(404, { error: `no route ${path}; the routes are ${paths.join(', ')}` })
}

function json(status: number, value: unknown): Answer {
  const body = JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner))
  return { status, type: 'application/json; charset=utf-8', body: `${body}\n` }
}

/** Less than the default timeout of an `http_get` probe, which is 2 s, so that the probe receives the reason. */
const CHECK_TIMEOUT_MS = 1500
const FIRST_DELAY_MS = 50
const LAST_DELAY_MS = 1000

/**
 * Runs all checks concurrently, each for a limited time. Returns null if all pass, otherwise one line that names each dependency
 * that does not answer, with the reason.
 */
async function reasonNotReady(
  checks: Readonly<Record<string, ReadinessCheck>>,
  stopping: AbortSignal,
): Promise<string | null> {
  if (stopping.aborted) return 'the service is stopping'
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      const reason = await runCheck(check, stopping)
      return reason === null ? [] : [`${name}: ${reason}`]
    }),
  )
  return results.flat().join('; ') || null
}

/** Resolves to true when all checks pass, to false if the service stops first. */
export async function waitUntilReady(
  checks: Readonly<Record<string, ReadinessCheck>>,
  stopping: AbortSignal,
  logger: Logger,
): Promise<boolean> {
  let logged = false
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LAST_DELAY_MS)) {
    const reason = await reasonNotReady(checks, stopping)
    if (stopping.aborted) return false
    if (reason === null) return true
    if (!logged) logger.info(`not ready yet: ${reason}`)
    logged = true
    await sleep(delayMs, undefined, { signal: stopping }).catch(() => {})
  }
}

/** Reports readiness to the supervisor: writes a newline to the file descriptor in NOTIFY_FD and closes it. */
export function notifyReady(notifyFd: string | undefined, logger: Logger): void {
  if (notifyFd === undefined || notifyFd === '') return
  try {
    if (!/^\d{1,6}$/.test(notifyFd)) throw new Error('expected an open file descriptor')
    const descriptor = Number(notifyFd)
    writeSync(descriptor, '\n')
    if (descriptor > 2) closeSync(descriptor)
  } catch (error) {
    logger.warn(`NOTIFY_FD=${notifyFd}: cannot report readiness: ${messageOf(error)}`)
  }
}

/** Returns null if the check passes, otherwise the reason. */
async function runCheck(check: ReadinessCheck, stopping: AbortSignal): Promise<string | null> {
  const signal = AbortSignal.any([stopping, timeoutSignal(CHECK_TIMEOUT_MS)])
  const cut = new Promise<string>((resolve) => {
    const reason = () => (stopping.aborted ? 'stopping' : `no answer in ${CHECK_TIMEOUT_MS / 1000} s`)
    signal.addEventListener('abort', () => resolve(reason()), { once: true })
  })
  const answer = (async () => check(signal))().then(() => null, messageOf)
  return await Promise.race([answer, cut])
}

/** Checks one dependency for `/readyz`: resolves if it answers, otherwise rejects with the reason. */
export type ReadinessCheck = (signal: AbortSignal) => Promise<void>
