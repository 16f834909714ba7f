import type { Readable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { ResolvedProbe } from '../../config/resolved.ts'
import type { LineTap } from '../output/lines.ts'
import { checkExec, type ExecContext, checkHttpGet, checkTcpSocket } from './checks.ts'
import { poll, type Check, type ProbeListener, TAKEN_FOR_ALIVE } from './poll.ts'

/** What a probe may look at: the child's lines, its notifications, and the world it runs in. */
export interface Probed extends ExecContext {
  readonly lines: LineTap
  readonly notifications: Readable | null
}

/**
 * Watches one child until `signal` is aborted. What a child says itself (a log line, a notification) is said once and holds;
 * what it is asked is asked again and again.
 */
export function startProbe(probe: ResolvedProbe, probed: Probed, listener: ProbeListener, signal: AbortSignal): void {
  const { check } = probe
  if (check.type === 'log_line' || check.type === 'notify') {
    if (check.type === 'log_line') awaitLogLine(check.pattern, probed.lines, listener.onReady, signal)
    else if (probed.notifications !== null) awaitNotification(probed.notifications, listener.onReady, signal)
    return
  }
  void poll(probe, checkOf(check, probed), listener, signal)
}

/** Asks one child whether it is alive until `signal` is aborted, and tells once if it is not. */
export function startLivenessProbe(
  probe: ResolvedProbe,
  probed: ExecContext,
  onDead: (reason: string) => void,
  signal: AbortSignal,
): void {
  const { check } = probe
  if (check.type === 'log_line' || check.type === 'notify') return
  const over = new AbortController()
  const stop = () => over.abort()
  signal.addEventListener('abort', stop, { once: true })
  const onUnhealthy = (reason: string) => {
    signal.removeEventListener('abort', stop)
    stop()
    onDead(reason)
  }
  void poll(probe, checkOf(check, probed), { onReady: () => {}, onUnhealthy }, over.signal, { from: TAKEN_FOR_ALIVE })
}

type AskedCheck = Extract<ResolvedProbe['check'], { type: 'tcp_socket' | 'http_get' | 'exec' }>

function checkOf(check: AskedCheck, probed: ExecContext): Check {
  if (check.type === 'tcp_socket') return (signal) => checkTcpSocket(check.host, check.port, signal)
  if (check.type === 'http_get') return (signal) => checkHttpGet(check.url, signal)
  return (signal) => checkExec(check.command, probed, signal)
}

/** Calls `onReady` once, at the first line of either stream that matches; colours in it are not in the way. */
export function awaitLogLine(pattern: RegExp, tap: LineTap, onReady: () => void, signal: AbortSignal): void {
  const done = new AbortController()
  const stop = () => done.abort()
  signal.addEventListener('abort', stop, { once: true })
  // A global or sticky pattern would remember where it matched last.
  const once = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''))
  const listener = (line: string) => {
    if (done.signal.aborted || !(once.test(line) || once.test(stripVTControlCharacters(line)))) return
    signal.removeEventListener('abort', stop)
    stop()
    onReady()
  }
  tap.listen(listener, done.signal)
  if (signal.aborted) stop()
}

/** Calls `onReady` once, when a newline arrives. Whatever else comes is read and dropped. */
export function awaitNotification(notifications: Readable, onReady: () => void, signal: AbortSignal): void {
  const listener = (bytes: Buffer) => {
    if (!bytes.includes('\n')) return
    notifications.off('data', listener).resume()
    if (!signal.aborted) onReady()
  }
  notifications.on('data', listener)
  notifications.on('error', () => {})
  signal.addEventListener('abort', () => notifications.destroy(), { once: true })
}
