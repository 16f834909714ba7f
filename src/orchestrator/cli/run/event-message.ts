import { formatDuration } from '../../supervisor/duration.ts'
import { describeLeft } from '../../supervisor/child/orphans.ts'
import type { FailureCause, StopReason, SupervisorEvent } from '../../supervisor/events.ts'
import { dateAndTime } from '../../supervisor/system/local-time.ts'
import { describeExit } from '../../supervisor/rules/restart-policy.ts'

export type Level = 'info' | 'warn' | 'error'

export interface EventMessage {
  readonly level: Level
  /** One line; the `lastLines` of an event are not included. */
  readonly text: string
}

/** Returns the log message of an event. */
export function describeEvent(event: SupervisorEvent): EventMessage {
  const text = textOf(event.type, event)
  return { level: levelOf(event), text: 'process' in event ? `${event.process}: ${text}` : text }
}

type EventType = SupervisorEvent['type']
type EventOf<T extends EventType> = Extract<SupervisorEvent, { readonly type: T }>
type Messages = { readonly [T in EventType]: readonly [Level, (event: EventOf<T>) => string] }

/** Messages about a process follow its name and a colon. */
const messages: Messages = {
  process_started: ['info', ({ again, pid }) => `${again ? 'started again' : 'started'} (pid ${pid})`],
  process_ready: [
    'info',
    ({ afterMs, wasUnhealthy }) => `ready${wasUnhealthy ? ' again' : ''} after ${formatDuration(afterMs)}`,
  ],
  process_unhealthy: ['warn', ({ reason }) => `no longer ready: ${reason}`],
  port_occupied: [
    'warn',
    ({ port, owner }) =>
      `port ${port} was already in use before it started, by ${owner}, so the readiness probe does not count; ` +
      'stop that process or choose another port',
  ],
  liveness_failed: [
    'warn',
    ({ reason, failures, restarts }) => {
      const count = failures === 1 ? '' : ` ${failures} times in a row`
      return `liveness probe failed${count}: ${reason}; stopping the process${restarts ? ' to restart it' : ''}`
    },
  ],
  process_exited: ['warn', ({ exit, uptimeMs }) => `${describeExit(exit)} after ${formatDuration(uptimeMs)}`],
  restart_scheduled: [
    'warn',
    ({ waitMs, attempt, maxAttempts }) =>
      `restarts ${waitMs === 0 ? 'now' : `in ${formatDuration(waitMs)}`}${describeAttempt(attempt, maxAttempts)}`,
  ],
  restart_loop: [
    'warn',
    ({ exits, reason, uptimeMs, everyMs }) =>
      `has ended ${exits} times in a row, last: ${reason} after ${formatDuration(uptimeMs)}; it keeps restarting` +
      `${everyMs === 0 ? '' : ` every ${formatDuration(everyMs)}`}; see restart.max_attempts`,
  ],
  spawn_failed: ['error', ({ message }) => `could not be started: ${message}`],
  process_failed: [
    'error',
    ({ reason, isReported = false, nextRun, lastLines }) =>
      `${nextRun === undefined ? 'failed permanently' : 'run failed'}${isReported ? '' : `: ${reason}`}` +
      `${describeNextRun(nextRun)}${lastLines.length === 0 ? '' : '; its last output:'}`,
  ],
  process_restarting: ['info', ({ because }) => `restarting, ${because}`],
  watching: ['info', ({ paths }) => `restarts when ${paths.join(', ')} changes`],
  next_run: ['info', ({ at }) => `runs next at ${dateAndTime(new Date(at))}`],
  run_skipped: ['warn', () => 'skipped a run of its schedule because the last one still runs'],
  trigger_failed: ['warn', ({ trigger, reason }) => `${trigger}: ${reason}`],
  process_completed: [
    'info',
    ({ exit, afterMs }) =>
      `completed after ${formatDuration(afterMs)}${exit.code === 0 ? '' : ` (${describeExit(exit)})`}`,
  ],
  process_skipped: ['warn', ({ because }) => `skipped because ${because}`],
  process_stopping: ['info', ({ signal }) => `stopping (${signal})`],
  process_killed: ['warn', ({ afterMs }) => `did not stop within ${formatDuration(afterMs)}; sent SIGKILL`],
  process_stopped: [
    'info',
    ({ tookMs, wasKilled = false }) => (wasKilled ? 'killed' : `stopped after ${formatDuration(tookMs)}`),
  ],
  descendants_killed: [
    'warn',
    ({ pids, commands }) =>
      `stopping its orphaned ${pids.length === 1 ? 'process' : 'processes'} ${listCommands(pids, commands)}`,
  ],
  processes_left: [
    'warn',
    ({ pids, commands }) => {
      const are = pids.length === 1 ? 'is' : 'are'
      return (
        `exited with code 0 but left ${describeLeft({ pids, commands })}, which ${are} stopped; if it goes to the ` +
        'background by itself, let it run in the foreground (for example "nginx -g \'daemon off;\'") or set "kind": "task"'
      )
    },
  ],
  process_survived: [
    'error',
    ({ pids }) => `cannot kill its orphaned ${listPids(pids)}; stop ${pids.length === 1 ? 'it' : 'them'} by hand`,
  ],
  waiting: ['info', ({ text, waiters }) => `${text}${describeWaiters(waiters)}`],
  mqtt_broker_unreachable: [
    'error',
    ({ address, reason }) =>
      `the MQTT broker at ${address} cannot be reached: ${reason}; start one, for example with ` +
      `"mosquitto -p ${address.split(':').at(-1)}", or set its address with --mqtt-broker`,
  ],
  output_closed: ['warn', ({ stream, reason }) => `cannot write to ${stream} (${reason}); discarding its lines`],
  log_file_failed: ['warn', ({ path, reason }) => `cannot write to log file ${path}: ${reason}; retrying every second`],
  log_file_resumed: [
    'warn',
    ({ path, lostLines }) => `writing to log file ${path} again; ${lostLines === 0 ? 'no' : lostLines} lines were lost`,
  ],
  log_file_closed: ['warn', ({ path, lostLines }) => `log file ${path} is closed; ${lostLines} lines were lost`],
  all_ready: [
    'info',
    ({ count, afterMs }) =>
      count === 0
        ? 'ready; tasks run at the times of their schedules'
        : `${describeCount(count)} ready after ${formatDuration(afterMs)}`,
  ],
  start_incomplete: [
    'warn',
    ({ count, failed, skipped, afterMs }) => {
      const ready = count - failed.length - skipped.length
      const lists = [listOf('failed', failed), listOf('skipped', skipped)].filter((list) => list !== null)
      return `${ready} of ${count} processes are ready after ${formatDuration(afterMs)}; ${lists.join('; ')}`
    },
  ],
  control_listening: ['info', ({ url, needsToken }) => `control API at ${url}${needsToken ? ' (token required)' : ''}`],
  reloaded: [
    'info',
    (event) => `${event.cause === 'scale' ? 'scaled' : 'configuration reloaded'}: ${describeChanges(event)}`,
  ],
  stopping: ['info', ({ reason }) => `stopping everything: ${describeStopReason(reason)}`],
  killing: ['warn', ({ trigger }) => `killing everything: second ${trigger}`],
  internal_error: ['error', ({ message }) => `internal error, please report it: ${message}`],
  stopped: [
    'info',
    ({ tookMs, startFailure }) =>
      `everything is stopped after ${formatDuration(tookMs)}` +
      (startFailure === undefined ? '' : `; the start failed: ${startFailure.process}: ${startFailure.reason}`),
  ],
}

function listOf(word: string, names: readonly string[]): string | null {
  return names.length === 0 ? null : `${word}: ${names.join(', ')}`
}

function textOf<T extends EventType>(type: T, event: EventOf<T>): string {
  return messages[type][1](event)
}

/** Returns the attempt of a restart; nothing for a restart without an earlier failure. */
function describeAttempt(attempt: number, maxAttempts: number): string {
  if (attempt === 0) return ''
  return ` (attempt ${attempt}${Number.isFinite(maxAttempts) ? ` of ${maxAttempts}` : ''})`
}

function describeCount(count: number): string {
  if (count === 1) return 'the process is'
  return count === 2 ? 'both processes are' : `all ${count} processes are`
}

function describeNextRun(at: string | null | undefined): string {
  return at === null || at === undefined ? '' : `; next run at ${dateAndTime(new Date(at))}`
}

function levelOf(event: SupervisorEvent): Level {
  if (event.type === 'process_exited' && event.succeeded) return 'info'
  if (event.type === 'stopped' && event.startFailure !== undefined) return 'error'
  if (event.type === 'stopping' && event.reason.type.endsWith('_failed')) return 'error'
  return messages[event.type][0]
}

function describeChanges(event: EventOf<'reloaded'>): string {
  const changes = (['added', 'removed', 'changed'] as const).flatMap((kind) =>
    event[kind].length === 0 ? [] : [`${kind} ${event[kind].join(', ')}`],
  )
  return changes.length === 0 ? 'nothing has changed' : changes.join('; ')
}

const startFailures: Readonly<Record<FailureCause, string>> = {
  spawn: 'could not be started',
  startup_timeout: 'was not ready in time',
  startup_attempts: 'was never ready',
  run: 'failed',
}

function describeStopReason(reason: StopReason): string {
  if (reason.type === 'key') return `${reason.key} (a second one kills immediately)`
  if (reason.type === 'signal') {
    if (reason.signal === 'SIGHUP') return 'the terminal was closed'
    return reason.signal === 'SIGINT' ? 'SIGINT (a second one kills immediately)' : reason.signal
  }
  if (reason.type === 'asked') return 'requested by "down"'
  // The message before it has the details.
  if (reason.type === 'start_failed') return `"${reason.process}" ${startFailures[reason.cause]}`
  if (reason.type === 'process_failed') return `"${reason.process}" failed permanently`
  if (reason.type === 'exited') return `${reason.process} ${describeExit(reason.exit)}`
  return 'the MQTT broker cannot be reached'
}

/** Names at most two. */
function describeWaiters(names: readonly string[]): string {
  const [first, second, ...rest] = names
  if (first === undefined) return ''
  if (second === undefined) return `; ${first} waits for it`
  return `; ${first}${rest.length === 0 ? ` and ${second}` : `, ${second} and ${rest.length} more`} wait for it`
}

function listCommands(pids: readonly number[], commands: readonly string[]): string {
  return pids
    .map((pid, index) => {
      const command = commands[index] ?? ''
      return command === '' ? String(pid) : `${pid} (${command})`
    })
    .join(', ')
}

function listPids(pids: readonly number[]): string {
  return pids.length === 1 ? `process ${pids[0]}` : `processes ${pids.join(', ')}`
}
