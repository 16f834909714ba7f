import type { Readable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { ProbeCheck, ResolvedProbe } from '../../config/resolved.ts'
import type { LineTap } from '../output/lines.ts'
import { checkExec, checkHttpGet, checkTcpSocket, type ExecContext } from './checks.ts'
import { describeCheck } from './describe.ts'
import { countOwnAnswers, type PortOccupant, type PortWatch } from './port-claim.ts'
import { ASSUMED_ALIVE, type Check, poll, type ProbeListener, type ProbeRecord } from './poll.ts'

/** The inputs of a probe: the child's lines, its notifications, and its working directory and environment. */
export interface ProbeContext extends ExecContext {
  readonly lines: LineTap
  readonly notifications: Readable | null
  /** Set if another program had the port of the probe before the child started. */
  readonly port: PortWatch | null
}

export interface ReadinessListener extends ProbeListener {
  /** Another program answers the probe. Called once. */
  readonly onOccupied: (occupant: PortOccupant) => void
}

/**
 * Probes one child until `signal` is aborted. A log line or a notification is reported once; all other checks are polled, with
 * their results in `record`.
 */
export function startProbe(
  probe: ResolvedProbe,
  context: ProbeContext,
  record: ProbeRecord,
  listener: ReadinessListener,
  signal: AbortSignal,
): void {
  const { check } = probe
  const { port } = context
  const onUnhealthy = (answer: string) => listener.onUnhealthy(`${describeCheck(check, context)}: ${answer}`)
  switch (check.type) {
    case 'log_line':
      return awaitLogLine(check.pattern, context.lines, listener.onReady, signal)
    case 'notify':
      if (context.notifications !== null) awaitNotification(context.notifications, listener.onReady, signal)
      return undefined
    case 'tcp_socket':
    case 'http_get':
    case 'exec': {
      const polled = pollCheck(check, context)
      const own = port === null ? polled : countOwnAnswers(polled, port, listener.onOccupied)
      void poll(probe, own, record, { onReady: listener.onReady, onUnhealthy }, signal)
      return undefined
    }
  }
}

/** Polls one child until `signal` is aborted or it fails, which is reported once. */
export function startLivenessProbe(
  probe: ResolvedProbe,
  context: ExecContext,
  onDead: (reason: string) => void,
  signal: AbortSignal,
): void {
  const { check } = probe
  if (isPassive(check)) return
  const dead = new AbortController()
  const onUnhealthy = (answer: string) => {
    dead.abort()
    onDead(`${describeCheck(check, context)}: ${answer}`)
  }
  const listener = { onReady: () => {}, onUnhealthy }
  const over = AbortSignal.any([signal, dead.signal])
  void poll(probe, pollCheck(check, context), { state: ASSUMED_ALIVE }, listener, over)
}

type PassiveCheck = Extract<ProbeCheck, { type: 'log_line' | 'notify' }>
type PolledCheck = Exclude<ProbeCheck, PassiveCheck>

/** Returns whether the check listens to the child; the other checks are polled. */
export function isPassive(check: ProbeCheck): check is PassiveCheck {
  return check.type === 'log_line' || check.type === 'notify'
}

function pollCheck(check: PolledCheck, context: ExecContext): Check {
  switch (check.type) {
    case 'tcp_socket':
      return (signal) => checkTcpSocket(check.host, check.port, signal)
    case 'http_get':
      return (signal) => checkHttpGet(check.url, context, signal)
    case 'exec':
      return (signal) => checkExec(check.command, context, signal)
  }
}

/** Calls `onReady` once, at the first matching line, with or without its escape sequences. The pattern is not global. */
export function awaitLogLine(pattern: RegExp, lines: LineTap, onReady: () => void, signal: AbortSignal): void {
  const matched = new AbortController()
  const over = AbortSignal.any([signal, matched.signal])
  lines.listen((line) => {
    if (over.aborted || !(pattern.test(line) || pattern.test(stripVTControlCharacters(line)))) return
    matched.abort()
    onReady()
  }, over)
}

/** Calls `onReady` once, at the first newline. All other input is dropped. */
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
