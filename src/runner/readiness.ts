import { closeSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../domain/errors.ts'
import type { Logger } from './logger.ts'
import type { ReadinessCheck } from './runner.ts'

const CHECK_TIMEOUT_MS = 2000
const FIRST_DELAY_MS = 50
const LAST_DELAY_MS = 1000

/** `ok`, or why not, for each check by name. */
export type ReadinessReport = Readonly<Record<string, string>>

/** Runs every check at the same time, each for two seconds at most. */
export async function checkReadiness(
  checks: Readonly<Record<string, ReadinessCheck>>,
  stopping: AbortSignal,
): Promise<{ readonly ready: boolean; readonly report: ReadinessReport }> {
  if (stopping.aborted) return { ready: false, report: { service: 'stopping' } }
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await runCheck(check, stopping)] as const),
  )
  return { ready: results.every(([, result]) => result === 'ok'), report: Object.fromEntries(results) }
}

/** Resolves true when every check has passed once, false when the service stops before. */
export async function waitUntilReady(
  checks: Readonly<Record<string, ReadinessCheck>>,
  stopping: AbortSignal,
  logger: Logger,
): Promise<boolean> {
  let told = false
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * 2, LAST_DELAY_MS)) {
    const { ready, report } = await checkReadiness(checks, stopping)
    if (stopping.aborted) return false
    if (ready) return true
    if (!told) logger.info({ checks: report }, 'not ready yet')
    told = true
    await sleep(delayMs, undefined, { signal: stopping }).catch(() => {})
  }
}

/** Tells the supervisor that the service is ready: a newline on the descriptor that NOTIFY_FD names, which is then closed. */
export function notifyReady(notifyFd: string | undefined, logger: Logger): void {
  if (notifyFd === undefined || notifyFd === '') return
  try {
    if (!/^\d{1,6}$/.test(notifyFd)) throw new Error('expected the number of an open file descriptor')
    const descriptor = Number(notifyFd)
    writeSync(descriptor, '\n')
    if (descriptor > 2) closeSync(descriptor)
  } catch (error) {
    logger.warn(`NOTIFY_FD=${notifyFd}: cannot announce readiness: ${messageOf(error)}`)
  }
}

async function runCheck(check: ReadinessCheck, stopping: AbortSignal): Promise<string> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(CHECK_TIMEOUT_MS)])
  const cut = new Promise<string>((resolve) => {
    signal.addEventListener('abort', () => resolve(stopping.aborted ? 'stopping' : 'no answer in 2 s'), { once: true })
  })
  const answer = (async () => check(signal))().then(
    () => 'ok',
    (error: unknown) => messageOf(error),
  )
  return await Promise.race([answer, cut])
}
